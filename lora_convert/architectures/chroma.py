"""Chroma: FLUX.1 without modulation layers, so a file is known by the distilled guidance alone."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    fused,
    nested,
    same,
)

CHROMA = Architecture(
    name="chroma",
    title="Chroma",
    components=(
        Component("transformer", (
            #       diffusers                                          native
            same(   "x_embedder",                                      "img_in"),
            same(   "context_embedder",                                "txt_in"),
            *nested("distilled_guidance_layer", "distilled_guidance_layer", (
                *alike("<in_proj,out_proj>"),
                same("layers.{}.linear_<1,2>",                         "layers.{}.<in,out>_layer"),
            )),
            fused(  "transformer_blocks.{}.attn.to_q",
                    "transformer_blocks.{}.attn.to_k",
                    "transformer_blocks.{}.attn.to_v",            into="double_blocks.{}.img_attn.qkv"),
            fused(  "transformer_blocks.{}.attn.add_q_proj",
                    "transformer_blocks.{}.attn.add_k_proj",
                    "transformer_blocks.{}.attn.add_v_proj",      into="double_blocks.{}.txt_attn.qkv"),
            same(   "transformer_blocks.{}.attn.to_out.0",             "double_blocks.{}.img_attn.proj"),
            same(   "transformer_blocks.{}.attn.to_add_out",           "double_blocks.{}.txt_attn.proj"),
            same(   "transformer_blocks.{}.ff.net.<0.proj,2>",         "double_blocks.{}.img_mlp.<0,2>"),
            same(   "transformer_blocks.{}.ff_context.net.<0.proj,2>", "double_blocks.{}.txt_mlp.<0,2>"),
            fused(  "single_transformer_blocks.{}.attn.to_q",
                    "single_transformer_blocks.{}.attn.to_k",
                    "single_transformer_blocks.{}.attn.to_v",
                    "single_transformer_blocks.{}.proj_mlp",      into="single_blocks.{}.linear1",
                    ratio=(1, 1, 1, 4)),
            same(   "single_transformer_blocks.{}.proj_out",           "single_blocks.{}.linear2"),
            same(   "proj_out",                                        "final_layer.linear"),
        ), norms=(
            same(   "transformer_blocks.{}.attn.norm_<q,k>",
                                                         "double_blocks.{}.img_attn.norm.<query,key>_norm"),
            same(   "transformer_blocks.{}.attn.norm_added_<q,k>",
                                                         "double_blocks.{}.txt_attn.norm.<query,key>_norm"),
            same(   "single_transformer_blocks.{}.attn.norm_<q,k>",
                                                         "single_blocks.{}.norm.<query,key>_norm"),
        )),
        T5,
    ),
    own=("distilled_guidance_layer.",),
)
