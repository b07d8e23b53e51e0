"""AUTOMATIC1111's web UI and Forge, which list an adapter under the base that its metadata names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import magnitude_by_row, peft_magnitude, unseen_scale
from lora_convert.applications._declaration import Application, Gap, Reads

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

_LISTING = "extensions-builtin/Lora/network.py, NetworkOnDisk.detect_version"
_MODELS = ("sd1", "sd2", "sdxl")


def listed_under(file: File) -> str:
    """The base under which a file is shown; empty where it is shown under any."""
    if file.metadata.get("ss_base_model_version", "").startswith("sdxl_"):
        return "sdxl"
    if file.metadata.get("ss_v2") == "True":
        return "sd2"
    return "sd1" if file.metadata else ""


def _listed_elsewhere(module: Module, file: File) -> bool:
    shown = listed_under(file)
    return file.architecture in _MODELS and bool(shown) and shown != file.architecture


_LISTED = Gap(
    "hides",
    "its metadata does not name the base, so it is listed under another (ss_base_model_version, ss_v2)",
    _LISTING,
    _listed_elsewhere,
)

A1111 = Application(
    name="a1111",
    title="AUTOMATIC1111 web UI",
    source="extensions-builtin/Lora/networks.py",
    writes=dict.fromkeys(_MODELS, "kohya"),
    reads=(Reads("kohya", _MODELS),),
    gaps=(
        _LISTED,
        Gap(
            "misreads",
            "a DoRA whose norm runs over output rows is normed over input columns",
            "extensions-builtin/Lora/network.py, apply_weight_decompose",
            magnitude_by_row,
        ),
    ),
)

FORGE = Application(
    name="forge",
    title="Forge",
    source="packages_3rdparty/comfyui_lora_collection/lora.py",
    writes=dict.fromkeys((*_MODELS, "flux"), "kohya"),
    reads=(
        Reads("kohya", (*_MODELS, "flux")),
        Reads("diffusers", ("flux",), components=("transformer",)),
        Reads("onetrainer", ("flux",)),
    ),
    gaps=(
        _LISTED,
        Gap(
            "misreads",
            "the scale is in the header or a configuration, and it takes 1",
            "packages_3rdparty/comfyui_lora_collection/lora.py",
            unseen_scale,
        ),
        Gap(
            "misreads",
            "PEFT's DoRA magnitudes are not looked for: a DoRA acts as a plain LoRA",
            "packages_3rdparty/comfyui_lora_collection/lora.py",
            peft_magnitude,
        ),
        Gap(
            "misreads",
            "a DoRA whose norm runs over output rows is divided by the norm of the base alone",
            "backend/patcher/lora.py, weight_decompose",
            magnitude_by_row,
        ),
    ),
)
