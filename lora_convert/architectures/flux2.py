"""FLUX.2 (dev, klein)."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import MISTRAL3
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    fused,
    growth,
    nested,
    same,
    swapped,
    width,
)

FLUX2 = Architecture(
    name="flux2",
    title="FLUX.2",
    components=(
        Component("transformer", (
            #       diffusers                                            native
            same(   "x_embedder",                                        "img_in"),
            same(   "context_embedder",                                  "txt_in"),
            same(   "time_guidance_embed.timestep_embedder.linear_<1,2>", "time_in.<in,out>_layer"),
            same(   "time_guidance_embed.guidance_embedder.linear_<1,2>", "guidance_in.<in,out>_layer"),
            same(   "double_stream_modulation_img.linear",               "double_stream_modulation_img.lin"),
            same(   "double_stream_modulation_txt.linear",               "double_stream_modulation_txt.lin"),
            same(   "single_stream_modulation.linear",                   "single_stream_modulation.lin"),
            *nested("transformer_blocks.{}", "double_blocks.{}", (
                fused("attn.to_q", "attn.to_k", "attn.to_v",        into="img_attn.qkv"),
                fused("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", into="txt_attn.qkv"),
                same( "attn.to_out.0",                                   "img_attn.proj"),
                same( "attn.to_add_out",                                 "txt_attn.proj"),
                same( "ff.linear_<in,out>",                              "img_mlp.<0,2>"),
                same( "ff_context.linear_<in,out>",                      "txt_mlp.<0,2>"),
            )),
            same(   "single_transformer_blocks.{}.attn.to_qkv_mlp_proj", "single_blocks.{}.linear1"),
            same(   "single_transformer_blocks.{}.attn.to_out",          "single_blocks.{}.linear2"),
            same(   "proj_out",                                          "final_layer.linear"),
            swapped("norm_out.linear",                                   "final_layer.adaLN_modulation.1"),
        ), norms=(
            same(   "transformer_blocks.{}.attn.norm_<q,k>",
                                                         "double_blocks.{}.img_attn.norm.<query,key>_norm"),
            same(   "transformer_blocks.{}.attn.norm_added_<q,k>",
                                                         "double_blocks.{}.txt_attn.norm.<query,key>_norm"),
            same(   "single_transformer_blocks.{}.attn.norm_<q,k>",
                                                         "single_blocks.{}.norm.<query,key>_norm"),
        )),
        MISTRAL3,
    ),
    signs=(
        width("transformer_blocks.{}.attn.to_q", 6144, 4096, 3072),
        width("transformer_blocks.{}.attn.to_out.0", 6144, 4096, 3072),
        growth("transformer_blocks.{}.ff.linear_in", 6),
        growth("single_transformer_blocks.{}.attn.to_qkv_mlp_proj", 9),
        growth("single_transformer_blocks.{}.attn.to_out", 0.25),
        depth("transformer_blocks.{}", 8, 5),
        depth("single_transformer_blocks.{}", 48, 24, 20),
    ),
    own=("double_blocks.", "single_blocks.", "single_transformer_blocks."),
)
