"""Sana, and Sana-Sprint, of whose own embedders only Diffusers' names are known."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import GEMMA2
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    depth,
    fused,
    same,
    width,
)

SANA = Architecture(
    name="sana",
    title="Sana",
    components=(
        Component("transformer", (
            #       diffusers                                               native
            same(   "patch_embed.proj",                                     "x_embedder.proj", kind="conv"),
            same(   "time_embed.linear",                                    "t_block.1"),
            same(   "time_embed.emb.timestep_embedder.linear_<1,2>",        "t_embedder.mlp.<0,2>"),
            *alike("time_embed.<timestep_embedder,guidance_embedder>.linear_<1,2>"),
            same(   "caption_projection.linear_<1,2>",                      "y_embedder.y_proj.fc<1,2>"),
            fused(  "transformer_blocks.{}.attn1.to_q",
                    "transformer_blocks.{}.attn1.to_k",
                    "transformer_blocks.{}.attn1.to_v",                into="blocks.{}.attn.qkv"),
            same(   "transformer_blocks.{}.attn1.to_out.0",                 "blocks.{}.attn.proj"),
            same(   "transformer_blocks.{}.attn2.to_q",                     "blocks.{}.cross_attn.q_linear"),
            fused(  "transformer_blocks.{}.attn2.to_k",
                    "transformer_blocks.{}.attn2.to_v",                into="blocks.{}.cross_attn.kv_linear"),
            same(   "transformer_blocks.{}.attn2.to_out.0",                 "blocks.{}.cross_attn.proj"),
            same(   "transformer_blocks.{}.ff.conv_<inverted,depth,point>",
                    "blocks.{}.mlp.<inverted,depth,point>_conv.conv", kind="conv"),
            same(   "proj_out",                                             "final_layer.linear"),
        )),
        GEMMA2,
    ),
    signs=(
        width("transformer_blocks.{}.attn1.to_q", 2240, 1152),
        width("transformer_blocks.{}.attn1.to_out.0", 2240, 1152),
        depth("transformer_blocks.{}", 20, 28),
    ),
    own=(
        "time_embed.emb.",
        "transformer_blocks.{}.ff.conv_",
        "blocks.{}.mlp.inverted_conv",
        "blocks.{}.mlp.depth_conv",
    ),
)
