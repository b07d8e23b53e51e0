"""Accelerate: a live model's own names, as ``save_state`` and ``save_model`` write them.

An adapter's name stands inside each LoRA key, the frozen weights of adapted layers are under
``base_layer``, and the rest of the model is there too unless the trainer left it out (accelerate 1.15,
checkpointing.py; peft 0.21, tuners/tuners_utils.py).
"""

from __future__ import annotations

from lora_convert.formats._declaration import Format
from lora_convert.formats._endings import (
    FOREIGN,
    NAMED_FACTORS,
    NAMED_FOREIGN,
    NAMED_PRODUCTS,
)
from lora_convert.formats.peft import COMPONENTS

ACCELERATE = Format(
    name="accelerate",
    title="Accelerate (model.safetensors, LoRA keys with an adapter's name)",
    separator=".",
    namespace="model",
    prefixes={
        component: (
            f"{component}/base_model.model.",
            f"{component}/",
            f"{component}.base_model.model.",
            f"{component}.",
        )
        for component in COMPONENTS
    },
    shared_prefixes=("base_model.model.",),
    bare=True,
    endings=(*NAMED_FACTORS, *NAMED_PRODUCTS, *NAMED_FOREIGN, *FOREIGN),
    scale_in="config",
    file_name=lambda stem: f"{stem}_accelerate",
    parts=True,
    folder=True,
    weights="model.safetensors",
    document="adapter_config.json",
    wrapped=True,
)
