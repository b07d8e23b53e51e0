"""PixArt-α and PixArt-Σ."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    fused,
    same,
    width,
)

PIXART = Architecture(
    name="pixart",
    title="PixArt",
    components=(
        Component("transformer", (
            #       diffusers                                              native
            same(   "pos_embed.proj",                                      "x_embedder.proj", kind="conv"),
            same(   "adaln_single.linear",                                 "t_block.1"),
            same(   "adaln_single.emb.timestep_embedder.linear_<1,2>",     "t_embedder.mlp.<0,2>"),
            same(   "adaln_single.emb.resolution_embedder.linear_<1,2>",   "csize_embedder.mlp.<0,2>"),
            same(   "adaln_single.emb.aspect_ratio_embedder.linear_<1,2>", "ar_embedder.mlp.<0,2>"),
            same(   "caption_projection.linear_<1,2>",                     "y_embedder.y_proj.fc<1,2>"),
            fused(  "transformer_blocks.{}.attn1.to_q",
                    "transformer_blocks.{}.attn1.to_k",
                    "transformer_blocks.{}.attn1.to_v",               into="blocks.{}.attn.qkv"),
            same(   "transformer_blocks.{}.attn1.to_out.0",                "blocks.{}.attn.proj"),
            same(   "transformer_blocks.{}.attn2.to_q",                    "blocks.{}.cross_attn.q_linear"),
            fused(  "transformer_blocks.{}.attn2.to_k",
                    "transformer_blocks.{}.attn2.to_v",               into="blocks.{}.cross_attn.kv_linear"),
            same(   "transformer_blocks.{}.attn2.to_out.0",                "blocks.{}.cross_attn.proj"),
            same(   "transformer_blocks.{}.ff.net.<0.proj,2>",             "blocks.{}.mlp.fc<1,2>"),
            same(   "proj_out",                                            "final_layer.linear"),
        )),
        T5,
    ),
    signs=(
        width("transformer_blocks.{}.attn1.to_q", 1152),
        width("transformer_blocks.{}.attn1.to_out.0", 1152),
        depth("transformer_blocks.{}", 28),
    ),
    own=("adaln_single.emb.", "csize_embedder.", "ar_embedder."),
)
