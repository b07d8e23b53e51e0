"""Kandinsky 5. Diffusers keeps its authors' names (github.com/kandinskylab/kandinsky-5, kandinsky/models)."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_L, QWEN25_VL
from lora_convert.architectures._vocabulary import Architecture, Component, alike

KANDINSKY5 = Architecture(
    name="kandinsky5",
    title="Kandinsky 5",
    components=(
        Component("transformer", alike(
            "time_embeddings.<in,out>_layer",
            "<text,pooled_text,visual>_embeddings.in_layer",
            "text_transformer_blocks.{}.text_modulation.out_layer",
            "text_transformer_blocks.{}.self_attention.<to_query,to_key,to_value,out_layer>",
            "text_transformer_blocks.{}.feed_forward.<in,out>_layer",
            "visual_transformer_blocks.{}.visual_modulation.out_layer",
            "visual_transformer_blocks.{}.<self,cross>_attention.<to_query,to_key,to_value,out_layer>",
            "visual_transformer_blocks.{}.feed_forward.<in,out>_layer",
            "out_layer.modulation.out_layer",
            "out_layer.out_layer",
        )),
        QWEN25_VL,
        CLIP_L.named("text_encoder_2"),
    ),
    own=(
        "time_embeddings.",
        "text_embeddings.",
        "pooled_text_embeddings.",
        "visual_embeddings.",
        "text_transformer_blocks.",
        "visual_transformer_blocks.",
        "out_layer.",
    ),
)
