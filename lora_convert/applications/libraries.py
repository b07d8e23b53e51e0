"""Diffusers and PEFT. What is said here is tested against the installed versions."""

from __future__ import annotations

from lora_convert.applications._declaration import Application, Reads
from lora_convert.applications._diffusers import ENCODERS, FLUX, GAPS, PIPELINES, WAN

_UNETS = ("sd1", "sd2", "sdxl", "sdxl_refiner", "kolors")
_KOHYA = (*_UNETS, "flux2", "qwen_image", "z_image", "minimax_h3")
_NATIVE = ("flux3", "krea2", "ltx2", "minimax_h3", "anima", "ernie_image", "hidream", "ideogram4")
_NAMED_ALIKE = ("qwen_image", "qwen_image21", "ltx_video")
_DENOISER = ("transformer",)

DIFFUSERS = Application(
    name="diffusers",
    title="Diffusers",
    source=PIPELINES,
    writes={"": "diffusers"},
    reads=(
        Reads("diffusers", namespaces=("diffusers",)),
        Reads("kohya", (*_KOHYA, *FLUX, *WAN)),
        Reads("kohya", ("qwen_image21",), namespaces=("diffusers",)),
        Reads("onetrainer", (*FLUX, "bria_fibo")),
        Reads("xlabs", ("flux",)),
        Reads("bfl", ("flux",)),
        Reads("comfyui", (*_NATIVE, *WAN, "flux2"), ("native",), _DENOISER),
        Reads("comfyui", ("anima",), ("native",), ("text_conditioner",)),
        Reads("comfyui", _NAMED_ALIKE, ("diffusers",), _DENOISER),
        Reads("comfyui", ("z_image",), components=_DENOISER),
        Reads("comfyui", FLUX, components=(*_DENOISER, *ENCODERS["flux"])),
    ),
    gaps=GAPS,
)

PEFT = Application(
    name="peft",
    title="PEFT",
    source="peft 0.21, utils/save_and_load.py",
    writes={"": "peft"},
    reads=(Reads("peft", namespaces=("model",)),),
)
