"""Lumina-Image 2.0: 24 heads of queries, 8 of keys and values."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import GEMMA2
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    depth,
    fused,
    nested,
    same,
    width,
)

_BLOCKS = "<noise_refiner,context_refiner,layers>.{}"

LUMINA2 = Architecture(
    name="lumina2",
    title="Lumina-Image 2.0",
    components=(
        Component("transformer", (
            #       diffusers                                            native
            *alike("x_embedder"),
            same(   "time_caption_embed.timestep_embedder.linear_<1,2>", "t_embedder.mlp.<0,2>"),
            same(   "time_caption_embed.caption_embedder.1",             "cap_embedder.1"),
            *nested("<noise_refiner,layers>.{}", "<noise_refiner,layers>.{}", (
                same("norm1.linear",                                     "adaLN_modulation.1"),
            )),
            *nested(_BLOCKS, _BLOCKS, (
                fused("attn.to_q", "attn.to_k", "attn.to_v",        into="attention.qkv", ratio=(3, 1, 1)),
                same( "attn.to_out.0",                                   "attention.out"),
                same( "feed_forward.linear_<1,2,3>",                     "feed_forward.w<1,2,3>"),
            )),
            same(   "norm_out.linear_1",                                 "final_layer.adaLN_modulation.1"),
            same(   "norm_out.linear_2",                                 "final_layer.linear"),
        )),
        GEMMA2,
    ),
    signs=(
        width("layers.{}.attn.to_q", 2304),
        width("layers.{}.attn.to_out.0", 2304),
        depth("layers.{}", 26),
    ),
    own=("time_caption_embed.", "noise_refiner.", "context_refiner."),
)
