"""Stable Diffusion 2.x: the first one's names, linear projections, a wider text encoder."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_H, numbered
from lora_convert.architectures._unet import unet
from lora_convert.architectures._vocabulary import Architecture, depth, width

SD2 = Architecture(
    name="sd2",
    title="Stable Diffusion 2.x",
    components=(
        unet((True, True, True, False), projections="linear", numbered=True),
        numbered(CLIP_H, layers=23),
    ),
    signs=(
        width("mid_block.attentions.0.transformer_blocks.{}.attn2.to_k", 1024),
        width("mid_block.attentions.0.transformer_blocks.{}.attn2.to_v", 1024),
        width("down_blocks.1.attentions.0.transformer_blocks.{}.attn2.to_k", 1024),
        width("up_blocks.1.attentions.0.transformer_blocks.{}.attn2.to_k", 1024),
        depth("mid_block.attentions.0.transformer_blocks.{}", 1),
        depth("down_blocks.2.attentions.0.transformer_blocks.{}", 1),
        width("text_model.encoder.layers.{}.self_attn.q_proj", 1024),
        depth("text_model.encoder.layers.{}", 23),
    ),
)
