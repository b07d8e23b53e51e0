"""Ideogram 4."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN3_VL_MODEL
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    depth,
    fused,
    same,
    width,
)

IDEOGRAM4 = Architecture(
    name="ideogram4",
    title="Ideogram 4",
    components=(
        Component("transformer", (
            #       diffusers                       native
            *alike(
                "input_proj",
                "llm_cond_proj",
                "t_embedding.<mlp_in,mlp_out>",
                "adaln_proj",
            ),
            fused(  "layers.{}.attention.to_q",
                    "layers.{}.attention.to_k",
                    "layers.{}.attention.to_v", into="layers.{}.attention.qkv"),
            same(   "layers.{}.attention.to_out.0", "layers.{}.attention.o"),
            *alike(
                "layers.{}.feed_forward.<w1,w2,w3>",
                "layers.{}.adaln_modulation",
                "final_layer.<linear,adaln_modulation>",
            ),
        )),
        QWEN3_VL_MODEL,
    ),
    signs=(
        width("layers.{}.attention.to_q", 4608),
        width("layers.{}.attention.to_out.0", 4608),
        depth("layers.{}", 34),
    ),
    own=("llm_cond_proj", "t_embedding."),
)
