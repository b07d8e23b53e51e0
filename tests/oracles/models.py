"""The real classes in their published sizes, on torch's meta device: no weights, no download."""

from __future__ import annotations

import re
from functools import cache, partial
from typing import Any

import diffusers
import torch
import transformers
from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel
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
    "pad_token_id": 0,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
}
CHATGLM = {
    "num_layers": 2,
    "hidden_size": 64,
    "ffn_hidden_size": 96,
    "num_attention_heads": 4,
    "kv_channels": 16,
    "padded_vocab_size": 100,
    "original_rope": True,
}
BERT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}

T5_ENCODER = ("T5EncoderModel", T5)
UMT5 = ("UMT5EncoderModel", T5)
QWEN25_VL = ("Qwen2_5_VLForConditionalGeneration", DECODER)
QWEN3_VL = ("Qwen3VLForConditionalGeneration", DECODER)
QWEN3_VL_MODEL = ("Qwen3VLModel", DECODER)
GEMMA3 = ("Gemma3ForConditionalGeneration", DECODER)
GEMMA4 = ("Gemma4UnifiedForConditionalGeneration", DECODER)
LLAMA = ("LlamaModel", DECODER)
PROJECTED = "CLIPTextModelWithProjection"

_ENCODERS: dict[str, tuple[tuple[tuple[str, dict[str, Any]], ...], ...]] = {
    "sd1": ((("CLIPTextModel", CLIP_L),),),
    "sd2": ((("CLIPTextModel", CLIP_H),),),
    "sdxl": ((("CLIPTextModel", CLIP_L),), ((PROJECTED, CLIP_G),)),
    "sdxl_refiner": ((), ((PROJECTED, CLIP_G),)),
    "stable_cascade": (((PROJECTED, CLIP_G),),),
    "sd3": (((PROJECTED, CLIP_L),), ((PROJECTED, CLIP_G),), (T5_ENCODER,)),
    "flux": ((("CLIPTextModel", CLIP_L),), (T5_ENCODER,)),
    "hidream": (
        ((PROJECTED, CLIP_L),),
        ((PROJECTED, CLIP_G),),
        (T5_ENCODER,),
        (("LlamaForCausalLM", DECODER),),
    ),
    "hunyuan_dit": ((("BertModel", BERT),), (T5_ENCODER,)),
    "hunyuan_video": (
        (LLAMA, ("LlavaForConditionalGeneration", DECODER)),
        (("CLIPTextModel", CLIP_L),),
    ),
    "framepack": ((LLAMA,), (("CLIPTextModel", CLIP_L),)),
    "hunyuan_video15": ((("Qwen2_5_VLTextModel", DECODER),), (T5_ENCODER,)),
    "hunyuan_image": ((QWEN25_VL,), (T5_ENCODER,)),
    "kandinsky5": ((QWEN25_VL,), (("CLIPTextModel", CLIP_L),)),
    "cosmos2": ((T5_ENCODER, QWEN25_VL),),
    "flux2": ((("Mistral3ForConditionalGeneration", DECODER), ("Qwen3ForCausalLM", DECODER)),),
    "ltx2": ((GEMMA3, GEMMA4),),
    "kolors": ((("ChatGLMModel", CHATGLM),),),
    "cogview4": ((("GlmModel", DECODER),),),
    "bria_fibo": ((("SmolLM3ForCausalLM", DECODER),),),
    "ernie_image": ((("Mistral3Model", DECODER),),),
    "qwen_image": ((QWEN25_VL,),),
    "skyreels_v2": ((UMT5, T5_ENCODER),),
    **dict.fromkeys(("lumina2", "sana"), ((("Gemma2Model", DECODER),),)),
    **dict.fromkeys(("anima", "z_image", "ace_step"), ((("Qwen3Model", DECODER),),)),
    **dict.fromkeys(("qwen_image21", "flux3", "bria_fibo2", "minimax_h3"), ((QWEN3_VL,),)),
    **dict.fromkeys(("krea2", "ideogram4"), ((QWEN3_VL_MODEL,),)),
    **dict.fromkeys(("chroma", "pixart", "mochi", "ltx_video", "cogvideox"), ((T5_ENCODER,),)),
    **dict.fromkeys(("auraflow", "wan", "wan_animate2", "helios", "anyflow"), ((UMT5,),)),
    "cosmos1": ((T5_ENCODER,),),
}
"""By architecture: the first, second, … text encoder of a pipeline, each in the classes that it may be."""
PLACES = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")


def kinds(architecture: str, component: str) -> list[tuple[Any, dict[str, Any]]]:
    """A component's class with its arguments, for each of its sizes."""
    if component in PLACES:
        encoders = _ENCODERS[architecture][PLACES.index(component)]
        return [(partial(_encoder, name), config) for name, config in encoders]
    wanted = _OTHERS.get((architecture, component)) or CLASSES[architecture]
    return [(_kind(name), config) for name, config in wanted]


@cache
def models(architecture: str, component: str) -> tuple[nn.Module, ...]:
    """A component in each of its sizes, without weights."""
    with torch.device("meta"):
        return tuple(kind(**config) for kind, config in kinds(architecture, component))


def _encoder(name: str, **config: Any) -> Any:
    """A text encoder; one that sees pictures too is whole, and its reading part has the given size."""
    kind: Any = ChatGLMModel if name == "ChatGLMModel" else getattr(transformers, name)
    settings: Any = ChatGLMConfig if name == "ChatGLMModel" else kind.config_class
    if "text_config" in getattr(settings, "sub_configs", {}):
        config = {"text_config": config}
    return kind(settings(**config))


def _kind(name: str) -> Any:
    return getattr(diffusers, name, None) or getattr(diffusers.pipelines.ltx2, name)


SIGHT = re.compile(r"\b(visual|vision_tower|multi_modal_projector|embed_vision|embed_audio)\b")
"""Parts of a language model that see pictures or hear: no prompt is read with them."""


def layers(model: nn.Module) -> dict[str, Any]:
    """The linear and convolutional layers that a LoRA can be on."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d)
    own = ("MotionConv2d", "MotionLinear")  # of Wan Animate, with a weight like those of torch
    heads = ("lm_head", "output_layer")
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, kinds) or type(layer).__name__ in own
        if name not in heads and not SIGHT.search(name)
    }
