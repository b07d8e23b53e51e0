"""The refiner of Stable Diffusion XL."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_G
from lora_convert.architectures._unet import unet
from lora_convert.architectures._vocabulary import Architecture, depth, same, width

SDXL_REFINER = Architecture(
    name="sdxl_refiner",
    title="Stable Diffusion XL refiner",
    components=(
        unet(
            (False, True, True, False),
            projections="linear",
            top=(
                same("add_embedding.linear_1", "label_emb.0.0"),
                same("add_embedding.linear_2", "label_emb.0.2"),
            ),
        ),
        CLIP_G,
    ),
    signs=(
        width("mid_block.attentions.0.transformer_blocks.{}.attn2.to_k", 1280),
        width("mid_block.attentions.0.transformer_blocks.{}.attn2.to_v", 1280),
        width("down_blocks.1.attentions.0.transformer_blocks.{}.attn2.to_k", 1280),
        width("up_blocks.1.attentions.0.transformer_blocks.{}.attn2.to_k", 1280),
        depth("mid_block.attentions.0.transformer_blocks.{}", 4),
        depth("down_blocks.2.attentions.0.transformer_blocks.{}", 4),
    ),
)
