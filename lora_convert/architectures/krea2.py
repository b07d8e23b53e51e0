"""Krea 2."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN3_VL_MODEL
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
    same("attn.<to_q,to_k,to_v,to_out.0,to_gate>", "attn.<wq,wk,wv,wo,gate>"),
    same("ff.<gate,up,down>",                      "mlp.<gate,up,down>"),
)

KREA2 = Architecture(
    name="krea2",
    title="Krea 2",
    components=(
        Component("transformer", (
            #       diffusers                       native
            same(   "img_in",                       "first"),
            same(   "time_embed.linear_<1,2>",      "tmlp.<0,2>"),
            same(   "time_mod_proj",                "tproj.1"),
            same(   "txt_in.linear_<1,2>",          "txtmlp.<1,3>"),
            *nested("text_fusion", "txtfusion", (
                *alike("projector"),
                *nested("<layerwise,refiner>_blocks.{}", "<layerwise,refiner>_blocks.{}", _BLOCK),
            )),
            *nested("transformer_blocks.{}", "blocks.{}", _BLOCK),
            same(   "final_layer.linear",           "last.linear"),
        )),
        QWEN3_VL_MODEL,
    ),
    signs=(
        width("transformer_blocks.{}.attn.to_q", 6144),
        depth("transformer_blocks.{}", 28),
    ),
    own=("txtfusion.", "text_fusion.", "time_mod_proj", "tproj."),
)
