"""ERNIE-Image: everyone has Diffusers' names."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import MISTRAL3_MODEL
from lora_convert.architectures._vocabulary import Architecture, Component, alike, depth, width

ERNIE_IMAGE = Architecture(
    name="ernie_image",
    title="ERNIE-Image",
    components=(
        Component("transformer", (
            *alike("x_embedder.proj", kind="conv"),
            *alike(
                "text_proj",
                "time_embedding.<linear_1,linear_2>",
                "adaLN_modulation.1",
                "layers.{}.self_attention.<to_q,to_k,to_v,to_out.0>",
                "layers.{}.mlp.<gate_proj,up_proj,linear_fc2>",
                "final_norm.linear",
                "final_linear",
            ),
        )),
        MISTRAL3_MODEL,
    ),
    signs=(
        width("layers.{}.self_attention.to_q", 3072),
        depth("layers.{}", 24),
    ),
    own=("text_proj",),
)
