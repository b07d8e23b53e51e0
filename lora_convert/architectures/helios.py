"""Helios: Wan 2.1 that remembers frames, at three scales.

Its authors keep Diffusers' names; adapters in Wan's are read by Wan's converters
(diffusers 0.42.1, HeliosLoraLoaderMixin in loaders/lora_pipeline.py).
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import Architecture, Component, alike
from lora_convert.architectures._wan import BASE

_MEMORY = alike("patch_short", "patch_mid", "patch_long", kind="conv")

HELIOS = Architecture(
    name="helios",
    title="Helios",
    components=(
        Component("transformer", (*BASE, *_MEMORY)),
        T5,
    ),
    own=("patch_short", "patch_mid", "patch_long"),
)
