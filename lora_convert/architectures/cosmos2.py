"""Cosmos-Predict 2 and 2.5."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN25_VL, T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    depth,
    nested,
    same,
    width,
)

_BLOCK = (
    same("attn<1,2>.<to_q,to_k,to_v,to_out.0>", "<self,cross>_attn.<q_proj,k_proj,v_proj,output_proj>"),
    same("ff.net.<0.proj,2>",                   "mlp.layer<1,2>"),
    same("norm<1,2,3>.linear_<1,2>",            "adaln_modulation_<self_attn,cross_attn,mlp>.<1,2>"),
)

COSMOS2 = Architecture(
    name="cosmos2",
    title="Cosmos-Predict 2, 2.5",
    components=(
        Component("transformer", (
            #       diffusers                             native
            same(   "patch_embed.proj",                   "x_embedder.proj.1"),
            same(   "time_embed.t_embedder.linear_<1,2>", "t_embedder.1.linear_<1,2>"),
            *nested("transformer_blocks.{}",              "blocks.{}", _BLOCK),
            same(   "norm_out.linear_<1,2>",              "final_layer.adaln_modulation.<1,2>"),
            same(   "proj_out",                           "final_layer.linear"),
            *alike("crossattn_proj.0"),
        )),
        Component("text_encoder", (*T5.rows, *QWEN25_VL.rows)),
    ),
    signs=(
        width("transformer_blocks.{}.attn1.to_q", 2048, 5120),
        width("transformer_blocks.{}.attn2.to_k", 1024),
        depth("transformer_blocks.{}", 28, 36),
    ),
    own=(
        "blocks.{}.self_attn.",
        "blocks.{}.cross_attn.",
        "blocks.{}.adaln_modulation_",
        "time_embed.t_embedder.",
        "t_embedder.1.",
        "transformer_blocks.{}.norm1.linear_",
        "crossattn_proj.",
    ),
)
