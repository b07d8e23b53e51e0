"""Stable Diffusion 1.x."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_L, numbered
from lora_convert.architectures._unet import unet
from lora_convert.architectures._vocabulary import Architecture, depth, width

SD1 = Architecture(
    name="sd1",
    title="Stable Diffusion 1.x",
    components=(
        unet((True, True, True, False), projections="conv", numbered=True),
        numbered(CLIP_L, layers=12),
    ),
    signs=(
        width("mid_block.attentions.0.transformer_blocks.{}.attn2.to_k", 768),
        width("mid_block.attentions.0.transformer_blocks.{}.attn2.to_v", 768),
        width("down_blocks.1.attentions.0.transformer_blocks.{}.attn2.to_k", 768),
        width("up_blocks.1.attentions.0.transformer_blocks.{}.attn2.to_k", 768),
        depth("mid_block.attentions.0.transformer_blocks.{}", 1),
        depth("down_blocks.2.attentions.0.transformer_blocks.{}", 1),
        width("text_model.encoder.layers.{}.self_attn.q_proj", 768),
        depth("text_model.encoder.layers.{}", 12),
    ),
)
