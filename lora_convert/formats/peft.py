"""PEFT: a folder with ``adapter_model.safetensors`` and ``adapter_config.json``.

The scale is in the configuration alone (peft 0.21, tuners/lora/layer.py). Several components have a
subfolder each.
"""

from __future__ import annotations

from lora_convert.formats._declaration import Format
from lora_convert.formats._endings import FACTORS, FOREIGN, PRODUCTS

COMPONENTS = (
    "unet",
    "transformer",
    "transformer_2",
    "transformer_ref",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "text_encoder_4",
    "prior",
    "controlnet",
    "connectors",
    "text_conditioner",
)
"""Models of a pipeline that Diffusers gives a LoRA a place in (loaders/lora_pipeline.py)."""

PEFT = Format(
    name="peft",
    title="PEFT (adapter_model.safetensors with adapter_config.json)",
    separator=".",
    namespace="model",
    prefixes={
        component: (f"{component}/base_model.model.", f"{component}.base_model.model.")
        for component in COMPONENTS
    },
    shared_prefixes=("base_model.model.",),
    endings=(*FACTORS, *PRODUCTS, *FOREIGN),
    scale_in="config",
    file_name=lambda stem: f"{stem}_peft",
    parts=True,
    folder=True,
    weights="adapter_model.safetensors",
    document="adapter_config.json",
)
