"""Text encoders, shared by architectures.

Files keep ``text_model.`` for CLIP. transformers 5 has flattened ``CLIPTextModel`` (its modules begin
at ``encoder.``), not ``CLIPTextModelWithProjection`` (transformers 5.23, models/clip/modeling_clip.py).
"""

from __future__ import annotations

from lora_convert.architectures._vocabulary import Component, Row, alike

_LAYER = ("encoder.layers.{}.self_attn.<q_proj,k_proj,v_proj,out_proj>", "encoder.layers.{}.mlp.<fc1,fc2>")

_FLAT = tuple(Row((f"text_model.{name}",), f"text_model.{name}", model=(name,)) for name in _LAYER)
_NESTED = alike(*(f"text_model.{name}" for name in _LAYER))

_T5 = alike(
    "encoder.block.{}.layer.0.SelfAttention.<q,k,v,o>",
    "encoder.block.{}.layer.1.DenseReluDense.<wi,wi_0,wi_1,wo>",
)

CLIP_L = Component("text_encoder", _FLAT, width=768)
"""OpenAI CLIP ViT-L, class CLIPTextModel."""
CLIP_H = Component("text_encoder", _FLAT, width=1024)
"""OpenCLIP ViT-H, class CLIPTextModel."""
CLIP_G = Component("text_encoder_2", (*_NESTED, *alike("text_projection")), width=1280)
"""OpenCLIP ViT-bigG, class CLIPTextModelWithProjection."""
T5_XXL = Component("text_encoder_2", _T5, width=4096)
"""T5 v1.1 XXL encoder, class T5EncoderModel."""
