"""ComfyUI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import (
    magnitude_by_row,
    of,
    peft_magnitude,
    trained_bias,
    unseen_scale,
)
from lora_convert.applications._declaration import Application, Gap, Reads

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

_KEYS = "comfy/lora.py of 2026"
_UNETS = ("sd1", "sd2", "sdxl", "sdxl_refiner")
_ENCODERS = ("text_encoder", "text_encoder_2")
_DIFFUSERS = (
    "sd3",
    "auraflow",
    "pixart",
    "flux",
    "hidream",
    "qwen_image",
    "z_image",
    "ernie_image",
    "krea2",
)


def _attention_of_unets(module: Module, file: File) -> bool:
    return file.format == "diffusers" and module.component == "unet" and ".to_" in module.name


COMFYUI = Application(
    name="comfyui",
    title="ComfyUI",
    source=_KEYS,
    writes={"": "comfyui"},
    reads=(
        Reads("comfyui", namespaces=("native",)),
        Reads("comfyui", ("z_image", "krea2"), namespaces=("diffusers",)),
        Reads(
            "comfyui",
            components=("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4"),
        ),
        Reads("kohya", namespaces=("native",)),
        Reads("kohya", _UNETS, namespaces=("diffusers",)),
        Reads("kohya", components=(*_ENCODERS, "text_encoder_3")),
        Reads("onetrainer", ("flux", "sd3")),
        Reads("lycoris", (*_UNETS, "flux", "sd3", "hidream", "qwen_image", "z_image", "krea2")),
        Reads("diffusers", _DIFFUSERS, namespaces=("diffusers",)),
        Reads("diffusers", _UNETS, components=("unet",)),
        Reads("diffusers", components=_ENCODERS),
        Reads("peft", ("sd3", "pixart", "hunyuan_dit"), components=("transformer",)),
        Reads("dotted", ("flux", "qwen_image", "z_image"), namespaces=("diffusers",)),
        Reads("xlabs"),
    ),
    gaps=(
        Gap(
            "drops",
            "attention of UNets under Diffusers' names: it knows only those of 2023",
            _KEYS,
            _attention_of_unets,
        ),
        Gap(
            "misreads",
            "the scale is in the header or a configuration, and it takes 1",
            _KEYS,
            unseen_scale,
        ),
        Gap(
            "misreads",
            "PEFT's DoRA magnitudes are not looked for: a DoRA acts as a plain LoRA",
            "comfy/weight_adapter/lora.py",
            peft_magnitude,
        ),
        Gap(
            "misreads",
            "a DoRA whose norm runs over output rows is divided by the norm of the base alone",
            "comfy/weight_adapter/base.py, weight_decompose",
            magnitude_by_row,
        ),
        Gap("drops", "lora_B.bias is not looked for", _KEYS, trained_bias),
        Gap(
            "misreads",
            "OFT's rescale and constraint are not applied as they were trained",
            "comfy/weight_adapter/oft.py",
            of("oft", "boft"),
        ),
    ),
)
