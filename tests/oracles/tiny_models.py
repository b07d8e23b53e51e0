"""Tiny seeded models of the real classes, in the real shapes: what adapters are made for."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
)


@cache
def models(architecture: str) -> dict[str, nn.Module]:
    """A pipeline's models that adapters can touch, by component. Shared: copy before changing."""
    torch.manual_seed(7)
    if architecture == "sd1":
        return {"unet": _unet(), "text_encoder": _clip(CLIPTextModel)}
    if architecture == "sd2":
        return {
            "unet": _unet(cross_attention_dim=1024, use_linear_projection=True),
            "text_encoder": _clip(CLIPTextModel, width=48),
        }
    if architecture == "sd2, narrow":
        return {"unet": _unet(use_linear_projection=True)}
    if architecture == "sdxl":
        unet = _unet(
            block_out_channels=(32, 64, 64),
            transformer_layers_per_block=[1, 1, 2],
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=80,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 48,
        )
        return {
            "unet": unet,
            "text_encoder": _clip(CLIPTextModel),
            "text_encoder_2": _clip(CLIPTextModelWithProjection, width=48),
        }
    flux = FluxTransformer2DModel(
        in_channels=16,
        num_layers=2,
        num_single_layers=2,
        num_attention_heads=2,
        attention_head_dim=16,
        joint_attention_dim=24,
        pooled_projection_dim=32,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )
    t5 = T5Config(
        d_model=24,
        d_ff=40,
        d_kv=8,
        num_layers=2,
        num_heads=3,
        vocab_size=50,
        feed_forward_proj="gated-gelu",
    )
    return {
        "transformer": flux,
        "text_encoder": _clip(CLIPTextModel),
        "text_encoder_2": T5EncoderModel(t5),
    }


def _unet(**changes: Any) -> UNet2DConditionModel:
    config = {
        "block_out_channels": (32, 64, 128, 128),
        "cross_attention_dim": 32,
        "attention_head_dim": 8,
    }
    return UNet2DConditionModel(sample_size=8, **{**config, **changes})


def _clip(kind: type[nn.Module], width: int = 32) -> nn.Module:
    config = CLIPTextConfig(
        vocab_size=50,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=width,
        max_position_embeddings=8,
    )
    return kind(config)
