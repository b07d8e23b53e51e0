"""The real classes in their published sizes, on torch's meta device: no weights, no download."""

from __future__ import annotations

from functools import cache
from typing import Any

import diffusers
import torch
import transformers
from torch import nn

SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
REFINER = {
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": (
        "DownBlock2D",
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
        "DownBlock2D",
    ),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": 4,
    "attention_head_dim": [6, 12, 24, 24],
    "cross_attention_dim": 1280,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2560,
}
SD3 = {
    "num_layers": 24,
    "num_attention_heads": 24,
    "caption_projection_dim": 1536,
    "pos_embed_max_size": 8,
}
HUNYUAN_DIT = {
    "use_style_cond_and_image_meta_size": False,
    "in_channels": 4,
    "patch_size": 2,
    "hidden_size": 1408,
    "num_layers": 40,
    "mlp_ratio": 4.3637,
    "sample_size": 128,
}
CASCADE = {"clip_text_in_channels": 1280, "clip_image_in_channels": 768, "in_channels": 16}

_CLASSES: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "sd1": (("UNet2DConditionModel", {"cross_attention_dim": 768}),),
    "sd2": (
        ("UNet2DConditionModel", {"cross_attention_dim": 1024, "use_linear_projection": True}),
    ),
    "sdxl": (("UNet2DConditionModel", SDXL),),
    "sdxl_refiner": (("UNet2DConditionModel", REFINER),),
    "kolors": (
        (
            "UNet2DConditionModel",
            {
                **SDXL,
                "encoder_hid_dim": 4096,
                "encoder_hid_dim_type": "text_proj",
                "projection_class_embeddings_input_dim": 5632,
            },
        ),
    ),
    "sd3": (
        ("SD3Transformer2DModel", {**SD3, "dual_attention_layers": tuple(range(13))}),
        (
            "SD3Transformer2DModel",
            {**SD3, "num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432},
        ),
    ),
    "flux": (("FluxTransformer2DModel", {"guidance_embeds": True}),),
    "flux2": (
        ("Flux2Transformer2DModel", {}),
        (
            "Flux2Transformer2DModel",
            {
                "num_layers": 5,
                "num_single_layers": 20,
                "num_attention_heads": 24,
                "joint_attention_dim": 7680,
                "guidance_embeds": False,
            },
        ),
    ),
    "flux3": (("Flux3Transformer2DModel", {}),),
    "chroma": (("ChromaTransformer2DModel", {}),),
    "auraflow": (("AuraFlowTransformer2DModel", {}),),
    "qwen_image": (
        ("QwenImageTransformer2DModel", {}),
        ("QwenImageTransformer2DModel", {"use_additional_t_cond": True, "use_layer3d_rope": True}),
    ),
    "qwen_image21": (("QwenImage21Transformer2DModel", {}),),
    "z_image": (
        ("ZImageTransformer2DModel", {"siglip_feat_dim": 1152}),
        ("ZImageTransformer2DModel", {}),
    ),
    "lumina2": (("Lumina2Transformer2DModel", {"cap_feat_dim": 2304}),),
    "hidream": (
        (
            "HiDreamImageTransformer2DModel",
            {
                "patch_size": 2,
                "caption_channels": [4096, 4096],
                "in_channels": 16,
                "out_channels": 16,
                "num_layers": 16,
                "num_single_layers": 32,
                "num_routed_experts": 4,
                "num_activated_experts": 2,
                "attention_head_dim": 128,
                "num_attention_heads": 20,
                "llama_layers": [*range(32), *[31] * 16],
            },
        ),
    ),
    "hunyuan_image": (("HunyuanImageTransformer2DModel", {"text_embed_2_dim": 1472}),),
    "hunyuan_dit": (("HunyuanDiT2DModel", HUNYUAN_DIT),),
    "pixart": (
        (
            "PixArtTransformer2DModel",
            {"caption_channels": 4096, "use_additional_conditions": True},
        ),
    ),
    "sana": (
        ("SanaTransformer2DModel", {}),
        ("SanaTransformer2DModel", {"guidance_embeds": True}),
    ),
    "krea2": (("Krea2Transformer2DModel", {}),),
    "ideogram4": (("Ideogram4Transformer2DModel", {}),),
    "ernie_image": (("ErnieImageTransformer2DModel", {}),),
    "anima": (
        (
            "CosmosTransformer3DModel",
            {"num_attention_heads": 16, "num_layers": 28, "extra_pos_embed_type": None},
        ),
    ),
    "cogview4": (("CogView4Transformer2DModel", {}),),
    "bria_fibo": (("BriaFiboTransformer2DModel", {}),),
    "stable_cascade": (("StableCascadeUNet", {**CASCADE, "conditioning_dim": 2048}),),
}
"""By architecture: the first component's class and its arguments, for each size that has other layers."""

CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "projection_dim": 768,
}
CLIP_H = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
}
CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
T5 = {
    "d_model": 64,
    "d_kv": 8,
    "d_ff": 96,
    "num_layers": 3,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
}
DECODER = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
}
BERT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}

_PROJECTED = "CLIPTextModelWithProjection"
_ENCODERS: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("sd1", "text_encoder"): ("CLIPTextModel", CLIP_L),
    ("sd2", "text_encoder"): ("CLIPTextModel", CLIP_H),
    ("sdxl", "text_encoder"): ("CLIPTextModel", CLIP_L),
    ("sdxl", "text_encoder_2"): (_PROJECTED, CLIP_G),
    ("sdxl_refiner", "text_encoder_2"): (_PROJECTED, CLIP_G),
    ("stable_cascade", "text_encoder"): (_PROJECTED, CLIP_G),
    ("sd3", "text_encoder"): (_PROJECTED, CLIP_L),
    ("sd3", "text_encoder_2"): (_PROJECTED, CLIP_G),
    ("sd3", "text_encoder_3"): ("T5EncoderModel", T5),
    ("flux", "text_encoder"): ("CLIPTextModel", CLIP_L),
    ("flux", "text_encoder_2"): ("T5EncoderModel", T5),
    ("chroma", "text_encoder"): ("T5EncoderModel", T5),
    ("pixart", "text_encoder"): ("T5EncoderModel", T5),
    ("auraflow", "text_encoder"): ("UMT5EncoderModel", T5),
    ("hunyuan_dit", "text_encoder"): ("BertModel", BERT),
    ("hunyuan_dit", "text_encoder_2"): ("T5EncoderModel", T5),
    ("hidream", "text_encoder"): (_PROJECTED, CLIP_L),
    ("hidream", "text_encoder_2"): (_PROJECTED, CLIP_G),
    ("hidream", "text_encoder_3"): ("T5EncoderModel", T5),
    ("hidream", "text_encoder_4"): ("LlamaForCausalLM", DECODER),
    ("lumina2", "text_encoder"): ("Gemma2Model", DECODER),
    ("sana", "text_encoder"): ("Gemma2Model", DECODER),
    ("anima", "text_encoder"): ("Qwen3Model", DECODER),
    ("z_image", "text_encoder"): ("Qwen3Model", DECODER),
}


@cache
def models(architecture: str, component: str) -> tuple[nn.Module, ...]:
    """A component in each of its sizes, without weights."""
    with torch.device("meta"):
        if (architecture, component) == ("anima", "text_conditioner"):
            return (diffusers.AnimaTextConditioner(),)
        encoder = _ENCODERS.get((architecture, component))
        if encoder:
            kind = getattr(transformers, encoder[0])
            return (kind(kind.config_class(**encoder[1])),)
        return tuple(getattr(diffusers, name)(**config) for name, config in _CLASSES[architecture])


def layers(model: nn.Module) -> dict[str, Any]:
    """The linear and convolutional layers that a LoRA can be on."""
    kinds = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, kinds) and name != "lm_head"
    }
