"""Text encoders, shared by architectures.

Files keep ``text_model.`` for CLIP. transformers 5 has flattened ``CLIPTextModel`` (its modules begin
at ``encoder.``), not ``CLIPTextModelWithProjection`` (transformers 5.23, models/clip/modeling_clip.py).
"""

from __future__ import annotations

from lora_convert.architectures._vocabulary import Component, Row, alike

_LAYER = ("encoder.layers.{}.self_attn.<q_proj,k_proj,v_proj,out_proj>", "encoder.layers.{}.mlp.<fc1,fc2>")

_FLAT = tuple(Row((f"text_model.{name}",), f"text_model.{name}", model=(name,)) for name in _LAYER)
_NESTED = (*alike(*(f"text_model.{name}" for name in _LAYER)), *alike("text_projection"))

_NORM = ("encoder.layers.{}.layer_norm<1,2>", "final_layer_norm")

_FLAT_NORMS = tuple(Row((f"text_model.{name}",), f"text_model.{name}", model=(name,)) for name in _NORM)
_NESTED_NORMS = alike(*(f"text_model.{name}" for name in _NORM))

_DECODER = (
    "layers.{}.self_attn.<q_proj,k_proj,v_proj,o_proj>",
    "layers.{}.mlp.<gate_proj,up_proj,down_proj>",
)

def numbered(clip: Component, layers: int) -> Component:
    """A CLIP of so many layers, with its attention in the order in which its class has it.

    ``CLIPAttention`` registers ``k_proj`` first (transformers, models/clip/modeling_clip.py).
    """
    names = ("k_proj", "v_proj", "q_proj", "out_proj")
    walk = {
        f"text_model.encoder.layers.{layer}.self_attn.{name}": 1.0
        for layer in range(layers) for name in names
    }
    return clip.with_walk(walk)


CLIP_L = Component("text_encoder", _FLAT, width=768, norms=_FLAT_NORMS)
"""OpenAI CLIP ViT-L, class CLIPTextModel."""
CLIP_L_PROJECTED = Component("text_encoder", _NESTED, width=768, norms=_NESTED_NORMS)
"""The same, class CLIPTextModelWithProjection."""
CLIP_H = Component("text_encoder", _FLAT, width=1024, norms=_FLAT_NORMS)
"""OpenCLIP ViT-H, class CLIPTextModel."""
CLIP_G = Component("text_encoder_2", _NESTED, width=1280, norms=_NESTED_NORMS)
"""OpenCLIP ViT-bigG, class CLIPTextModelWithProjection."""
T5 = Component("text_encoder_2", alike(
    "encoder.block.{}.layer.0.SelfAttention.<q,k,v,o>",
    "encoder.block.{}.layer.1.DenseReluDense.<wi,wi_0,wi_1,wo>",
), width=4096)
"""The encoder of T5, class T5EncoderModel or UMT5EncoderModel; its first version has one ``wi``."""
BERT = Component("text_encoder", alike(
    "encoder.layer.{}.attention.<self.query,self.key,self.value,output.dense>",
    "encoder.layer.{}.<intermediate,output>.dense",
    "pooler.dense",
), width=1024)
"""Class BertModel."""
GEMMA2 = Component("text_encoder", alike(*_DECODER), width=2304)
"""Gemma 2, class Gemma2Model."""
QWEN3 = Component("text_encoder", alike(*_DECODER))
"""Qwen3, class Qwen3Model."""
LLAMA = Component("text_encoder", tuple(Row((name,), name, model=(f"model.{name}",)) for name in _DECODER))
"""Llama 3, class LlamaForCausalLM."""
LLAMA_MODEL = Component("text_encoder", alike(*_DECODER), width=4096)
"""The same, class LlamaModel."""
