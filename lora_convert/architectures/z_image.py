"""Z-Image (Omni too): the authors have Diffusers' names, ComfyUI those of Lumina with fused attention."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN3
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

_BLOCKS = "<noise_refiner,context_refiner,siglip_refiner,layers>.{}"

Z_IMAGE = Architecture(
    name="z_image",
    title="Z-Image",
    components=(
        Component("transformer", (
            #       diffusers                                     native
            same(   "all_x_embedder.2-1",                         "x_embedder"),
            same(   "all_final_layer.2-1.linear",                 "final_layer.linear"),
            same(   "all_final_layer.2-1.adaLN_modulation.1",     "final_layer.adaLN_modulation.1"),
            *alike(
                "t_embedder.mlp.<0,2>",
                "<cap_embedder,siglip_embedder>.1",
                "<noise_refiner,layers>.{}.adaLN_modulation.0",
            ),
            *nested(_BLOCKS, _BLOCKS, (
                fused("attention.to_q", "attention.to_k", "attention.to_v", into="attention.qkv"),
                same( "attention.to_out.0",                       "attention.out"),
                *alike("feed_forward.<w1,w2,w3>"),
            )),
        ), norms=(
            same(f"{_BLOCKS}.attention.<norm_q,norm_k>",          f"{_BLOCKS}.attention.<q_norm,k_norm>"),
            *alike(f"{_BLOCKS}.<attention_norm,ffn_norm><1,2>"),
        )),
        QWEN3,
    ),
    signs=(
        width("layers.{}.attention.to_q", 3840),
        width("layers.{}.attention.to_out.0", 3840),
        depth("layers.{}", 30),
    ),
    own=("all_x_embedder.", "all_final_layer.", "noise_refiner.", "context_refiner.", "siglip_"),
)
