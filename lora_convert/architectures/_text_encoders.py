"""Text encoders, shared by architectures.

Files keep ``text_model.`` for CLIP. transformers 5 has flattened ``CLIPTextModel`` (its modules begin
at ``encoder.``), not ``CLIPTextModelWithProjection`` (transformers 5.23, models/clip/modeling_clip.py).
"""

from __future__ import annotations

from lora_convert.architectures._vocabulary import Component, Row, same

_LAYER = (
    "encoder.layers.{}.self_attn.q_proj",
    "encoder.layers.{}.self_attn.k_proj",
    "encoder.layers.{}.self_attn.v_proj",
    "encoder.layers.{}.self_attn.out_proj",
    "encoder.layers.{}.mlp.fc1",
    "encoder.layers.{}.mlp.fc2",
)

_FLAT = tuple(
    Row((f"text_model.{name}",), f"text_model.{name}", model=(name,)) for name in _LAYER
)
_NESTED = tuple(same(f"text_model.{name}", f"text_model.{name}") for name in _LAYER)

_T5 = tuple(
    same(f"encoder.block.{{}}.layer.{name}", f"encoder.block.{{}}.layer.{name}")
    for name in (
        "0.SelfAttention.q",
        "0.SelfAttention.k",
        "0.SelfAttention.v",
        "0.SelfAttention.o",
        "1.DenseReluDense.wi",
        "1.DenseReluDense.wi_0",
        "1.DenseReluDense.wi_1",
        "1.DenseReluDense.wo",
    )
)

CLIP_L = Component("text_encoder", _FLAT, width=768)
"""OpenAI CLIP ViT-L, class CLIPTextModel."""
CLIP_H = Component("text_encoder", _FLAT, width=1024)
"""OpenCLIP ViT-H, class CLIPTextModel."""
CLIP_G = Component("text_encoder_2", (*_NESTED, same("text_projection", "text_projection")), width=1280)
"""OpenCLIP ViT-bigG, class CLIPTextModelWithProjection."""
T5_XXL = Component("text_encoder_2", _T5, width=4096)
"""T5 v1.1 XXL encoder, class T5EncoderModel."""
