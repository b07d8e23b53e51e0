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
WAN = {"num_layers": 2}
WAN_IMAGE = {**WAN, "in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
HUNYUAN = {"num_layers": 2, "num_single_layers": 2}
COSMOS2 = {"num_layers": 2, "num_attention_heads": 16, "extra_pos_embed_type": None}
LTX23 = {
    "num_layers": 2,
    "gated_attn": True,
    "cross_attn_mod": True,
    "audio_gated_attn": True,
    "audio_cross_attn_mod": True,
    "use_prompt_embeddings": False,
}
CONNECTORS23 = {
    "per_modality_projections": True,
    "video_gated_attn": True,
    "audio_gated_attn": True,
}
CASCADE = {"clip_text_in_channels": 1280, "clip_image_in_channels": 768, "in_channels": 16}

CLASSES: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
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
    "bria_fibo2": (("BriaFibo2Transformer2DModel", {}),),
    "wan": (
        ("WanTransformer3DModel", WAN),
        ("WanTransformer3DModel", WAN_IMAGE),
        ("WanVACETransformer3DModel", {"num_layers": 10, "vace_layers": [0, 5]}),
        ("WanAnimateTransformer3DModel", {"num_layers": 10, "added_kv_proj_dim": 5120}),
        ("ChronoEditTransformer3DModel", WAN_IMAGE),
    ),
    "wan_animate2": (("WanAnimate2Transformer3DModel", WAN),),
    "skyreels_v2": (("SkyReelsV2Transformer3DModel", {**WAN_IMAGE, "inject_sample_info": True}),),
    "helios": (("HeliosTransformer3DModel", WAN),),
    "anyflow": (("AnyFlowTransformer3DModel", WAN),),
    "hunyuan_video": (
        ("HunyuanVideoTransformer3DModel", HUNYUAN),
        (
            "HunyuanVideoTransformer3DModel",
            {**HUNYUAN, "in_channels": 33, "image_condition_type": "token_replace"},
        ),
    ),
    "hunyuan_video15": (("HunyuanVideo15Transformer3DModel", {"num_layers": 2}),),
    "framepack": (
        (
            "HunyuanVideoFramepackTransformer3DModel",
            {**HUNYUAN, "has_image_proj": True, "has_clean_x_embedder": True},
        ),
    ),
    "ltx_video": (("LTXVideoTransformer3DModel", {"num_layers": 2}),),
    "ltx2": (
        ("LTX2VideoTransformer3DModel", {"num_layers": 2}),
        ("LTX2VideoTransformer3DModel", LTX23),
    ),
    "cogvideox": (
        ("CogVideoXTransformer3DModel", {"num_layers": 2}),
        (
            "CogVideoXTransformer3DModel",
            {
                "num_layers": 2,
                "use_rotary_positional_embeddings": True,
                "patch_size_t": 2,
                "patch_bias": False,
            },
        ),
    ),
    "cosmos1": (("CosmosTransformer3DModel", {"num_layers": 2}),),
    "cosmos2": (
        ("CosmosTransformer3DModel", COSMOS2),
        ("CosmosTransformer3DModel", {**COSMOS2, "use_crossattn_projection": True}),
    ),
    "mochi": (("MochiTransformer3DModel", {}),),
    "minimax_h3": (("MiniMaxH3Transformer3DModel", {"num_layers": 2}),),
    "kandinsky5": (("Kandinsky5Transformer3DModel", {"num_visual_blocks": 2}),),
    "ace_step": (("AceStepTransformer1DModel", {"num_hidden_layers": 2}),),
    "stable_cascade": (("StableCascadeUNet", {**CASCADE, "conditioning_dim": 2048}),),
}
"""By architecture: the first component's class and its arguments, for each size that has other layers."""

_OTHERS: dict[tuple[str, str], tuple[tuple[str, dict[str, Any]], ...]] = {
    ("anima", "text_conditioner"): (("AnimaTextConditioner", {}),),
    ("ltx2", "connectors"): (("LTX2TextConnectors", {}), ("LTX2TextConnectors", CONNECTORS23)),
}
"""The same of other components that are no text encoders."""

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
    ("hunyuan_video", "text_encoder"): ("LlamaModel", DECODER),
    ("hunyuan_video", "text_encoder_2"): ("CLIPTextModel", CLIP_L),
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


def kinds(architecture: str, component: str) -> list[tuple[Any, dict[str, Any]]]:
    """A component's class with its arguments, for each of its sizes."""
    encoder = _ENCODERS.get((architecture, component))
    if encoder:
        kind = getattr(transformers, encoder[0])
        return [(lambda **config: kind(kind.config_class(**config)), encoder[1])]
    wanted = _OTHERS.get((architecture, component)) or CLASSES[architecture]
    return [(_kind(name), config) for name, config in wanted]


@cache
def models(architecture: str, component: str) -> tuple[nn.Module, ...]:
    """A component in each of its sizes, without weights."""
    with torch.device("meta"):
        return tuple(kind(**config) for kind, config in kinds(architecture, component))


def _kind(name: str) -> Any:
    return getattr(diffusers, name, None) or getattr(diffusers.pipelines.ltx2, name)


def layers(model: nn.Module) -> dict[str, Any]:
    """The linear and convolutional layers that a LoRA can be on."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d)
    own = ("MotionConv2d", "MotionLinear")  # of Wan Animate, with a weight like those of torch
    return {
        name: layer
        for name, layer in model.named_modules()
        if (isinstance(layer, kinds) or type(layer).__name__ in own) and name != "lm_head"
    }
