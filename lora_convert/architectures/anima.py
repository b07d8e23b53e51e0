"""Anima: Cosmos-Predict2 with an adapter for its text encoder, which Diffusers has as a component."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN3
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    depth,
    nested,
    same,
    width,
)

ANIMA = Architecture(
    name="anima",
    title="Anima",
    components=(
        Component("transformer", (
            #       diffusers                           native
            same(   "patch_embed.proj",                   "x_embedder.proj.1"),
            same(   "time_embed.t_embedder.linear_<1,2>", "t_embedder.1.linear_<1,2>"),
            *nested("transformer_blocks.{}", "blocks.{}", (
                same("attn1.<to_q,to_k,to_v,to_out.0>", "self_attn.<q_proj,k_proj,v_proj,output_proj>"),
                same("attn2.<to_q,to_k,to_v,to_out.0>", "cross_attn.<q_proj,k_proj,v_proj,output_proj>"),
                same("ff.net.<0.proj,2>",               "mlp.layer<1,2>"),
                same("norm<1,2,3>.linear_<1,2>",        "adaln_modulation_<self_attn,cross_attn,mlp>.<1,2>"),
            )),
            same(   "norm_out.linear_<1,2>",              "final_layer.adaln_modulation.<1,2>"),
            same(   "proj_out",                           "final_layer.linear"),
        )),
        Component("text_conditioner", alike(
            "blocks.{}.<self_attn,cross_attn>.<q_proj,k_proj,v_proj,o_proj>",
            "blocks.{}.mlp.<0,2>",
            "out_proj",
        )),
        QWEN3,
    ),
    signs=(
        width("transformer_blocks.{}.attn1.to_q", 2048),
        width("transformer_blocks.{}.attn2.to_k", 1024),
        depth("transformer_blocks.{}", 28),
    ),
    own=(
        "time_embed.t_embedder.",
        "blocks.{}.self_attn.",
        "blocks.{}.cross_attn.",
        "blocks.{}.adaln_modulation_",
    ),
)
