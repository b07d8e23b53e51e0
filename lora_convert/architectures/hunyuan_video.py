"""HunyuanVideo, text and image to video.

The first native names are ComfyUI's, the second those of its authors, which musubi-tuner and
diffusion-pipe keep.
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_L, LLAMA_MODEL
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    fused,
    nested,
    same,
    swapped,
    width,
)

_REFINER = (
    fused(  "attn.to_q",
            "attn.to_k",
            "attn.to_v",            into="self_attn.qkv",                  original="self_attn_qkv"),
    same(   "attn.to_out.0",             "self_attn.proj",                          "self_attn_proj"),
    same(   "ff.net.<0.proj,2>",         "mlp.<0,2>",                               "mlp.fc<1,2>"),
    same(   "norm_out.linear",           "adaLN_modulation.1"),
)

_TEXT = (
    same(   "proj_in",                                       "input_embedder"),
    same(   "time_text_embed.timestep_embedder.linear_<1,2>",
            "t_embedder.<in,out>_layer",                     "t_embedder.mlp.<0,2>"),
    same(   "time_text_embed.text_embedder.linear_<1,2>",
            "c_embedder.<in,out>_layer",                     "c_embedder.linear_<1,2>"),
    *nested("token_refiner.refiner_blocks.{}",               "individual_token_refiner.blocks.{}", _REFINER),
)

_DOUBLE = (
    same(   "norm1.linear",              "img_mod.lin",                             "img_mod.linear"),
    same(   "norm1_context.linear",      "txt_mod.lin",                             "txt_mod.linear"),
    fused(  "attn.to_q",
            "attn.to_k",
            "attn.to_v",            into="img_attn.qkv",                   original="img_attn_qkv"),
    fused(  "attn.add_q_proj",
            "attn.add_k_proj",
            "attn.add_v_proj",      into="txt_attn.qkv",                   original="txt_attn_qkv"),
    same(   "attn.to_out.0",             "img_attn.proj",                           "img_attn_proj"),
    same(   "attn.to_add_out",           "txt_attn.proj",                           "txt_attn_proj"),
    same(   "ff.net.<0.proj,2>",         "img_mlp.<0,2>",                           "img_mlp.fc<1,2>"),
    same(   "ff_context.net.<0.proj,2>", "txt_mlp.<0,2>",                           "txt_mlp.fc<1,2>"),
)

_SINGLE = (
    fused(  "attn.to_q",
            "attn.to_k",
            "attn.to_v",
            "proj_mlp",             into="linear1", ratio=(1, 1, 1, 4)),
    same(   "proj_out",                  "linear2"),
    same(   "norm.linear",               "modulation.lin",                          "modulation.linear"),
)

HUNYUAN_VIDEO = Architecture(
    name="hunyuan_video",
    title="HunyuanVideo",
    components=(
        Component("transformer", (
            #       diffusers                                 ComfyUI                        authors
            same(   "x_embedder.proj",                        "img_in.proj", kind="conv"),
            same(   "time_text_embed.<timestep,guidance>_embedder.linear_<1,2>",
                                                              "<time,guidance>_in.<in,out>_layer",
                    original="<time,guidance>_in.mlp.<0,2>"),
            same(   "time_text_embed.text_embedder.linear_<1,2>",
                                                              "vector_in.<in,out>_layer"),
            *nested("context_embedder",                       "txt_in", _TEXT),
            *nested("transformer_blocks.{}",                  "double_blocks.{}", _DOUBLE),
            *nested("single_transformer_blocks.{}",           "single_blocks.{}", _SINGLE),
            same(   "proj_out",                               "final_layer.linear"),
            swapped("norm_out.linear",                        "final_layer.adaLN_modulation.1"),
        ), norms=(
            same(   "transformer_blocks.{}.attn.norm_<q,k>",
                                                         "double_blocks.{}.img_attn.norm.<query,key>_norm",
                    original="double_blocks.{}.img_attn_<q,k>_norm"),
            same(   "transformer_blocks.{}.attn.norm_added_<q,k>",
                                                         "double_blocks.{}.txt_attn.norm.<query,key>_norm",
                    original="double_blocks.{}.txt_attn_<q,k>_norm"),
            same(   "single_transformer_blocks.{}.attn.norm_<q,k>",
                                                         "single_blocks.{}.norm.<query,key>_norm",
                    original="single_blocks.{}.<q,k>_norm"),
        )),
        LLAMA_MODEL,
        CLIP_L.named("text_encoder_2"),
    ),
    signs=(
        width("transformer_blocks.{}.attn.to_q", 3072),
        width("single_transformer_blocks.{}.attn.to_q", 3072),
        depth("transformer_blocks.{}", 20),
        depth("single_transformer_blocks.{}", 40),
    ),
    own=("context_embedder.", "txt_in.", "double_blocks.{}.img_attn_", "double_blocks.{}.img_mod.linear"),
)
