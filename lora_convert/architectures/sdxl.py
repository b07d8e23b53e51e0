"""Stable Diffusion XL."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_G, CLIP_L
from lora_convert.architectures._unet import unet
from lora_convert.architectures._vocabulary import Architecture, depth, same, width

SDXL = Architecture(
    name="sdxl",
    title="Stable Diffusion XL",
    components=(
        unet(
            (False, True, True),
            projections="linear",
            top=(
                same("add_embedding.linear_1", "label_emb.0.0"),
                same("add_embedding.linear_2", "label_emb.0.2"),
            ),
        ),
        CLIP_L,
        CLIP_G,
    ),
    signs=(
        width("mid_block.attentions.0.transformer_blocks.{}.attn2.to_k", 2048),
        width("mid_block.attentions.0.transformer_blocks.{}.attn2.to_v", 2048),
        width("down_blocks.1.attentions.0.transformer_blocks.{}.attn2.to_k", 2048),
        width("up_blocks.1.attentions.0.transformer_blocks.{}.attn2.to_k", 2048),
        depth("mid_block.attentions.0.transformer_blocks.{}", 10),
        depth("down_blocks.2.attentions.0.transformer_blocks.{}", 10),
    ),
)
