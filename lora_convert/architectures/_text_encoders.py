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


def _language_model(before: str = "", *, width: int = 0, also: tuple[str, ...] = ()) -> Component:
    """A language model whose class has `before` before its layers; other classes of it have `also`.

    Files have the layers' names alone: what stands before them is the class's affair. Of models that see
    pictures too, this is the part that reads.
    """
    rows = (Row((name,), name, model=(f"{before}{name}",)) for name in _DECODER)
    others = (Row((f"{place}{name}",), name) for place in also for name in _DECODER)
    return Component("text_encoder", tuple(rows), width=width, slices=tuple(others))


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
T5 = Component("text_encoder", alike(
    "encoder.block.{}.layer.0.SelfAttention.<q,k,v,o>",
    "encoder.block.{}.layer.1.DenseReluDense.<wi,wi_0,wi_1,wo>",
), width=4096)
"""The encoder of T5, class T5EncoderModel or UMT5EncoderModel; its first version has one ``wi``."""
BYT5 = Component("text_encoder_2", T5.rows, width=1472)
"""The encoder of ByT5 (small), class T5EncoderModel."""
BERT = Component("text_encoder", alike(
    "encoder.layer.{}.attention.<self.query,self.key,self.value,output.dense>",
    "encoder.layer.{}.<intermediate,output>.dense",
    "pooler.dense",
), width=1024)
"""Class BertModel."""
CHATGLM = Component("text_encoder", alike(
    "encoder.layers.{}.self_attention.<query_key_value,dense>",
    "encoder.layers.{}.mlp.<dense_h_to_4h,dense_4h_to_h>",
), width=4096)
"""ChatGLM 3, Diffusers' class ChatGLMModel (0.42.1, pipelines/kolors/text_encoder.py)."""
GLM = Component("text_encoder", alike(
    "layers.{}.self_attn.<q_proj,k_proj,v_proj,o_proj>",
    "layers.{}.mlp.<gate_up_proj,down_proj>",
), width=4096)
"""GLM 4, class GlmModel."""
GEMMA2 = _language_model(width=2304)
"""Gemma 2, class Gemma2Model."""
GEMMA3 = _language_model("model.language_model.", width=3840)
"""Gemma 3, class Gemma3ForConditionalGeneration, or Gemma 4."""
LLAMA = _language_model("model.")
"""Llama 3, class LlamaForCausalLM."""
LLAMA_MODEL = _language_model(width=4096, also=("model.language_model.",))
"""The same, class LlamaModel, or the reading part of LlavaForConditionalGeneration."""
MISTRAL3 = _language_model("model.language_model.", also=("model.",))
"""Mistral Small 3, class Mistral3ForConditionalGeneration; in the smaller FLUX.2 Qwen3ForCausalLM."""
MISTRAL3_MODEL = _language_model("language_model.")
"""Ministral 3, class Mistral3Model."""
QWEN25_VL = _language_model("model.language_model.", width=3584)
"""Qwen2.5-VL, class Qwen2_5_VLForConditionalGeneration."""
QWEN25_VL_TEXT = _language_model(width=3584)
"""The same, class Qwen2_5_VLTextModel."""
QWEN3 = _language_model()
"""Qwen3, class Qwen3Model."""
QWEN3_VL = _language_model("model.language_model.")
"""Qwen3-VL, class Qwen3VLForConditionalGeneration."""
QWEN3_VL_MODEL = _language_model("language_model.")
"""The same, class Qwen3VLModel."""
SMOLLM3 = _language_model("model.")
"""SmolLM3, class SmolLM3ForCausalLM."""
