"""Qwen-Image 2.1; ComfyUI has the gate above the projection, in one layer."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN3_VL
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    depth,
    fused,
    width,
)

QWEN_IMAGE21 = Architecture(
    name="qwen_image21",
    title="Qwen-Image 2.1",
    components=(
        Component("transformer", (
            #       diffusers                                   native
            *alike(
                "img_in",
                "txt_in.<in_layer,out_layer>",
                "time_text_embed.timestep_embedder.<linear_1,linear_2>",
                "modulation.1",
                "transformer_blocks.{}.attn.<to_q,to_k,to_v,to_out.0>",
            ),
            fused(  "transformer_blocks.{}.img_mlp.gate_layer",
                    "transformer_blocks.{}.img_mlp.proj",  into="transformer_blocks.{}.img_mlp.gate_up"),
            *alike(
                "transformer_blocks.{}.img_mlp.out",
                "norm_out.linear",
                "proj_out",
            ),
        )),
        QWEN3_VL,
    ),
    signs=(
        width("transformer_blocks.{}.attn.to_q", 4096),
        depth("transformer_blocks.{}", 32),
    ),
    own=("txt_in.in_layer", "modulation."),
)
