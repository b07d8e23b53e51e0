"""Cosmos-Predict 1, text and video to world."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    nested,
    same,
    width,
)

_BLOCK = (
    same("attn<1,2>.to_<q,k,v>",            "blocks.<0,1>.block.attn.to_<q,k,v>.0"),
    same("attn<1,2>.to_out.0",              "blocks.<0,1>.block.attn.to_out.0"),
    same("ff.net.<0.proj,2>",               "blocks.2.block.layer<1,2>"),
    same("norm<1,2,3>.linear_<1,2>",        "blocks.<0,1,2>.adaLN_modulation.<1,2>"),
)

COSMOS1 = Architecture(
    name="cosmos1",
    title="Cosmos-Predict 1",
    components=(
        Component("transformer", (
            #       diffusers                             native
            same(   "patch_embed.proj",                   "x_embedder.proj.1"),
            same(   "time_embed.t_embedder.linear_<1,2>", "t_embedder.1.linear_<1,2>"),
            *nested("transformer_blocks.{}",              "blocks.block{}", _BLOCK),
            same(   "norm_out.linear_<1,2>",              "final_layer.adaLN_modulation.<1,2>"),
            same(   "proj_out",                           "final_layer.linear"),
        )),
        T5,
    ),
    signs=(
        width("transformer_blocks.{}.attn1.to_q", 4096, 5120),
        width("transformer_blocks.{}.attn2.to_k", 1024),
        depth("transformer_blocks.{}", 28, 36),
    ),
    own=("blocks.block", "time_embed.t_embedder.", "t_embedder.1.", "transformer_blocks.{}.norm1.linear_"),
)
