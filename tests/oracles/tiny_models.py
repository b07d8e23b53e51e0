"""Tiny seeded models of the real classes, in the real shapes: what adapters are made for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from diffusers import (
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
    ZImageTransformer2DModel,
)
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

QWEN_WORDS = 300
"""Numbers of tokens that the language models know: bytes and marks of chats."""


@cache
def models(architecture: str) -> dict[str, nn.Module]:
    """A pipeline's models that adapters can touch, by component. Shared: copy before changing."""
    torch.manual_seed(7)
    return _MODELS[architecture]()


def _sd1() -> dict[str, nn.Module]:
    return {"unet": _unet(), "text_encoder": _clip(CLIPTextModel)}


def _sd2() -> dict[str, nn.Module]:
    return {
        "unet": _unet(cross_attention_dim=1024, use_linear_projection=True),
        "text_encoder": _clip(CLIPTextModel, width=48),
    }


def _sd2_whole() -> dict[str, nn.Module]:
    return {**_sd2(), "text_encoder": _clip(CLIPTextModel, width=1024)}


def _sd2_narrow() -> dict[str, nn.Module]:
    return {"unet": _unet(use_linear_projection=True)}


def _sdxl() -> dict[str, nn.Module]:
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


def _sd3() -> dict[str, nn.Module]:
    transformer = SD3Transformer2DModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        num_layers=3,
        num_attention_heads=2,
        attention_head_dim=16,
        caption_projection_dim=32,
        joint_attention_dim=88,
        pooled_projection_dim=32 + 48,
        pos_embed_max_size=16,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    return {
        "transformer": transformer,
        "text_encoder": _clip(CLIPTextModelWithProjection),
        "text_encoder_2": _clip(CLIPTextModelWithProjection, width=48),
        "text_encoder_3": _t5(88),
    }


def _flux() -> dict[str, nn.Module]:
    transformer = FluxTransformer2DModel(
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
    return {
        "transformer": transformer,
        "text_encoder": _clip(CLIPTextModel),
        "text_encoder_2": _t5(24),
    }


def _flux2() -> dict[str, nn.Module]:
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=2,
        num_single_layers=2,
        num_attention_heads=2,
        attention_head_dim=16,
        joint_attention_dim=3 * 16,
        timestep_guidance_channels=32,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    return {"transformer": transformer, "text_encoder": _qwen3(Qwen3ForCausalLM, layers=28)}


def _qwen_image() -> dict[str, nn.Module]:
    transformer = QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=2,
        num_attention_heads=2,
        attention_head_dim=16,
        joint_attention_dim=16,
        axes_dims_rope=(4, 6, 6),
    )
    text = {
        **_LANGUAGE,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
        "num_hidden_layers": 2,
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
    config = Qwen2_5_VLConfig(text_config=text, vision_config={**vision, "out_hidden_size": 16})
    return {
        "transformer": transformer,
        "text_encoder": Qwen2_5_VLForConditionalGeneration(config).eval(),
    }


def _z_image() -> dict[str, nn.Module]:
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 32, 32],
    )
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        nn.init.normal_(token)
    return {"transformer": transformer, "text_encoder": _qwen3(Qwen3Model, layers=3)}


_MODELS: dict[str, Callable[[], dict[str, nn.Module]]] = {
    "sd1": _sd1,
    "sd2": _sd2,
    "sd2, whole": _sd2_whole,
    "sd2, narrow": _sd2_narrow,
    "sdxl": _sdxl,
    "sd3": _sd3,
    "flux": _flux,
    "flux2": _flux2,
    "qwen_image": _qwen_image,
    "z_image": _z_image,
}

_LANGUAGE = {
    "vocab_size": QWEN_WORDS,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 1024,
}


def _qwen3(kind: type[Any], layers: int) -> nn.Module:
    return kind(Qwen3Config(**_LANGUAGE, head_dim=8, num_hidden_layers=layers)).eval()


def _t5(width: int) -> nn.Module:
    return T5EncoderModel(
        T5Config(
            d_model=width,
            d_ff=40,
            d_kv=8,
            num_layers=2,
            num_heads=3,
            vocab_size=50,
            feed_forward_proj="gated-gelu",
        )
    )


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
        intermediate_size=min(2 * width, 128),
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=width,
        max_position_embeddings=8,
    )
    return kind(config)
