"""Mochi 1. Its last block is told nothing of the text's modulation but the scale."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
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

_BLOCK = (
    same(   "norm1.linear",              "mod_x"),
    same(   "norm1_context.linear",      "mod_y", growth=2),
    same(   "norm1_context.linear_1",    "mod_y", growth=0.5),
    fused(  "attn1.to_q",
            "attn1.to_k",
            "attn1.to_v",           into="attn.qkv_x"),
    fused(  "attn1.add_q_proj",
            "attn1.add_k_proj",
            "attn1.add_v_proj",     into="attn.qkv_y"),
    same(   "attn1.<to_out.0,to_add_out>", "attn.proj_<x,y>"),
    swapped("<ff,ff_context>.net.0.proj", "mlp_<x,y>.w1"),
    same(   "<ff,ff_context>.net.2",     "mlp_<x,y>.w2"),
)

MOCHI = Architecture(
    name="mochi",
    title="Mochi 1",
    components=(
        Component("transformer", (
            #       diffusers                                  native
            same(   "patch_embed.proj",                        "x_embedder.proj", kind="conv"),
            same(   "time_embed.timestep_embedder.linear_<1,2>", "t_embedder.mlp.<0,2>"),
            same(   "time_embed.pooler.<to_kv,to_q,to_out>",   "t5_y_embedder.<to_kv,to_q,to_out>"),
            same(   "time_embed.caption_proj",                 "t5_yproj"),
            *nested("transformer_blocks.{}",                   "blocks.{}", _BLOCK),
            same(   "proj_out",                                "final_layer.linear"),
            swapped("norm_out.linear",                         "final_layer.mod"),
        )),
        T5,
    ),
    signs=(
        width("transformer_blocks.{}.attn1.to_q", 3072),
        width("transformer_blocks.{}.attn1.add_q_proj", 1536),
        growth("transformer_blocks.{}.ff.net.0.proj", 16 / 3),
        depth("transformer_blocks.{}", 48),
    ),
    own=(
        "transformer_blocks.{}.attn1.add_",
        "time_embed.pooler.",
        "t5_y",
        "blocks.{}.attn.qkv_",
        "blocks.{}.mod_",
    ),
)
