"""InvokeAI and stable-diffusion.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import (
    any_magnitude,
    magnitude_by_row,
    of,
    peft_magnitude,
    unseen_scale,
)
from lora_convert.applications._declaration import Application, Gap, Reads

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

_SD_CPP = (
    "sd1",
    "sd2",
    "sdxl",
    "sd3",
    "flux",
    "flux2",
    "chroma",
    "wan",
    "qwen_image",
    "z_image",
    "anima",
    "ernie_image",
)
_LAYERS = "invokeai/backend/patches/layers/utils.py"


def _single_blocks(module: Module, file: File) -> bool:
    return file.format == "xlabs" and module.name.startswith("single_blocks.")


INVOKEAI = Application(
    name="invokeai",
    title="InvokeAI",
    source="invokeai/backend/patches/lora_conversions",
    writes={
        **dict.fromkeys(("sd1", "sd2", "sdxl", "flux", "anima", "krea2", "qwen_image"), "kohya"),
        **dict.fromkeys(("flux2", "z_image"), "diffusers"),
    },
    reads=(
        Reads("kohya", ("sd1", "sd2", "sdxl", "flux", "anima", "krea2", "qwen_image", "z_image")),
        Reads("diffusers", ("sdxl", "flux", "flux2", "z_image", "qwen_image")),
        Reads("peft", ("flux", "flux2")),
        Reads("comfyui", ("flux", "flux2", "anima", "wan"), namespaces=("native",)),
        Reads("onetrainer", ("flux",)),
        Reads("dotted", ("flux", "qwen_image")),
        Reads("xlabs"),
    ),
    gaps=(
        Gap(
            "misreads",
            "the scale is in the header or a configuration, and it takes 1",
            "invokeai/backend/patches/layers/lora_layer_base.py",
            unseen_scale,
        ),
        Gap(
            "misreads",
            "PEFT's DoRA magnitudes are left out, with a warning",
            _LAYERS,
            peft_magnitude,
        ),
        Gap(
            "misreads",
            "a DoRA whose norm runs over output rows is normed over input columns",
            "invokeai/backend/patches/layers/dora_layer.py",
            magnitude_by_row,
        ),
        Gap("refuses", "its loader has no OFT, BOFT or GLoRA", _LAYERS, of("oft", "boft", "glora")),
        Gap(
            "refuses",
            "XLabs' single blocks are not known",
            "invokeai/backend/patches/lora_conversions/flux_xlabs_lora_conversion_utils.py",
            _single_blocks,
        ),
    ),
    folds=True,
)

SD_CPP = Application(
    name="sd.cpp",
    title="stable-diffusion.cpp",
    source="src/name_conversion.cpp, src/model/adapter/lora.hpp",
    writes=dict.fromkeys(_SD_CPP, "kohya"),
    reads=tuple(
        Reads(name)
        for name in ("kohya", "comfyui", "diffusers", "peft", "onetrainer", "lycoris", "dotted")
    ),
    gaps=(
        Gap(
            "misreads",
            "the scale is in the header or a configuration, and it takes 1",
            "src/model/adapter/lora.hpp",
            unseen_scale,
        ),
        Gap(
            "misreads",
            "DoRA magnitudes are left out: a DoRA acts as a plain LoRA",
            "src/model/adapter/lora.hpp",
            any_magnitude,
        ),
        Gap(
            "drops",
            "it has no OFT, BOFT, GLoRA, IA3 or norms",
            "src/model/adapter/lora.hpp",
            of("oft", "boft", "glora", "ia3", "norm"),
        ),
    ),
)
