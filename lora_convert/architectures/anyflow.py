"""AnyFlow: Wan 2.1 that is told how far a step goes.

Adapters in Wan's names are read by Wan's converters (diffusers 0.42.1, AnyFlowPipeline).
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import Architecture, Component, alike
from lora_convert.architectures._wan import BASE

_STEP = alike("condition_embedder.delta_embedder.linear_<1,2>")

ANYFLOW = Architecture(
    name="anyflow",
    title="AnyFlow",
    components=(
        Component("transformer", (*BASE, *_STEP)),
        T5,
    ),
    own=("condition_embedder.delta_embedder.",),
)
