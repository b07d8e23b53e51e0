"""FLUX.1 (dev, schnell, Fill, Depth, Canny, Kontext)."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_L, T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    fused,
    growth,
    same,
    swapped,
    width,
)

FLUX = Architecture(
    name="flux",
    title="FLUX.1",
    components=(
        Component("transformer", (
            #       diffusers                                            native
            same(   "x_embedder",                                        "img_in"),
            same(   "context_embedder",                                  "txt_in"),
            same(   "time_text_embed.timestep_embedder.linear_1",        "time_in.in_layer"),
            same(   "time_text_embed.timestep_embedder.linear_2",        "time_in.out_layer"),
            same(   "time_text_embed.text_embedder.linear_1",            "vector_in.in_layer"),
            same(   "time_text_embed.text_embedder.linear_2",            "vector_in.out_layer"),
            same(   "time_text_embed.guidance_embedder.linear_1",        "guidance_in.in_layer"),
            same(   "time_text_embed.guidance_embedder.linear_2",        "guidance_in.out_layer"),
            same(   "transformer_blocks.{}.norm1.linear",                "double_blocks.{}.img_mod.lin"),
            same(   "transformer_blocks.{}.norm1_context.linear",        "double_blocks.{}.txt_mod.lin"),
            fused(  "transformer_blocks.{}.attn.to_q",
                    "transformer_blocks.{}.attn.to_k",
                    "transformer_blocks.{}.attn.to_v",              into="double_blocks.{}.img_attn.qkv"),
            fused(  "transformer_blocks.{}.attn.add_q_proj",
                    "transformer_blocks.{}.attn.add_k_proj",
                    "transformer_blocks.{}.attn.add_v_proj",        into="double_blocks.{}.txt_attn.qkv"),
            same(   "transformer_blocks.{}.attn.to_out.0",               "double_blocks.{}.img_attn.proj"),
            same(   "transformer_blocks.{}.attn.to_add_out",             "double_blocks.{}.txt_attn.proj"),
            same(   "transformer_blocks.{}.ff.net.0.proj",               "double_blocks.{}.img_mlp.0"),
            same(   "transformer_blocks.{}.ff.net.2",                    "double_blocks.{}.img_mlp.2"),
            same(   "transformer_blocks.{}.ff_context.net.0.proj",       "double_blocks.{}.txt_mlp.0"),
            same(   "transformer_blocks.{}.ff_context.net.2",            "double_blocks.{}.txt_mlp.2"),
            fused(  "single_transformer_blocks.{}.attn.to_q",
                    "single_transformer_blocks.{}.attn.to_k",
                    "single_transformer_blocks.{}.attn.to_v",
                    "single_transformer_blocks.{}.proj_mlp",        into="single_blocks.{}.linear1",
                    ratio=(1, 1, 1, 4)),
            same(   "single_transformer_blocks.{}.proj_out",             "single_blocks.{}.linear2"),
            same(   "single_transformer_blocks.{}.norm.linear",          "single_blocks.{}.modulation.lin"),
            same(   "proj_out",                                          "final_layer.linear"),
            swapped("norm_out.linear",                                   "final_layer.adaLN_modulation.1"),
        ), norms=(
            same(   "transformer_blocks.{}.attn.norm_<q,k>",
                                                         "double_blocks.{}.img_attn.norm.<query,key>_norm"),
            same(   "transformer_blocks.{}.attn.norm_added_<q,k>",
                                                         "double_blocks.{}.txt_attn.norm.<query,key>_norm"),
            same(   "single_transformer_blocks.{}.attn.norm_<q,k>",
                                                         "single_blocks.{}.norm.<query,key>_norm"),
        ), slices=(
            fused(  "single_transformer_blocks.{}.attn.to_q",
                    "single_transformer_blocks.{}.attn.to_k",
                    "single_transformer_blocks.{}.attn.to_v",       into="single_blocks.{}.linear1_qkv"),
        )),
        CLIP_L,
        T5.named("text_encoder_2"),
    ),
    signs=(
        width("transformer_blocks.{}.attn.to_q", 3072),
        width("transformer_blocks.{}.attn.to_out.0", 3072),
        growth("transformer_blocks.{}.ff.net.0.proj", 4),
        growth("single_transformer_blocks.{}.proj_mlp", 4),
        growth("single_transformer_blocks.{}.proj_out", 0.2),
        depth("transformer_blocks.{}", 19),
        depth("single_transformer_blocks.{}", 38),
    ),
    enlarged={"x_embedder": 128},  # by control LoRAs, which see the picture beside the latents
    own=("single_transformer_blocks.", "single_blocks.", "double_blocks.", "encoder."),
)
