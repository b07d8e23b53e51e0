"""Trainers that go on from an adapter: sd-scripts, musubi-tuner, OneTrainer, ai-toolkit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import any_magnitude, unseen_scale
from lora_convert.applications._declaration import Application, Gap, Reads

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

_SD_SCRIPTS = ("sd1", "sd2", "sdxl", "sd3", "flux", "chroma", "lumina2", "anima", "hunyuan_image")
_MUSUBI = (
    "hunyuan_video",
    "framepack",
    "wan",
    "flux",
    "flux2",
    "qwen_image",
    "z_image",
    "kandinsky5",
    "ideogram4",
    "krea2",
    "minimax_h3",
)
_UNETS = ("sd1", "sd2", "sdxl")
_ONETRAINER = (
    "sd3",
    "flux",
    "flux2",
    "pixart",
    "sana",
    "hunyuan_video",
    "hidream",
    "chroma",
    "qwen_image",
    "z_image",
    "anima",
)


def _scaled(module: Module, file: File) -> bool:
    return file.format != "kohya" and module.scale.value != 1.0


def _cores(module: Module, file: File) -> bool:
    return "mid" in module.roles or module.algorithm not in {"lora", "dora"}


SD_SCRIPTS = Application(
    name="sd-scripts",
    title="kohya-ss sd-scripts",
    source="networks/lora.py, lora_flux.py, lora_sd3.py, lora_lumina.py, lora_anima.py",
    writes=dict.fromkeys(_SD_SCRIPTS, "kohya"),
    reads=(Reads("kohya", _SD_SCRIPTS),),
    gaps=(
        Gap(
            "misreads",
            "dora_scale is not looked for: a DoRA acts as a plain LoRA",
            "networks/lora.py",
            any_magnitude,
        ),
        Gap("drops", "only LoRA factors are looked for", "networks/lora.py", _cores),
    ),
)

MUSUBI = Application(
    name="musubi",
    title="musubi-tuner",
    source="src/musubi_tuner/networks/lora.py, utils/lora_utils.py",
    writes=dict.fromkeys(_MUSUBI, "kohya"),
    reads=(Reads("kohya", _MUSUBI),),
    gaps=(
        Gap(
            "misreads",
            "dora_scale is not looked for: a DoRA acts as a plain LoRA",
            "utils/lora_utils.py",
            any_magnitude,
        ),
    ),
)

ONETRAINER = Application(
    name="onetrainer",
    title="OneTrainer",
    source="modules/util/load_lora_util.py",
    writes={
        **dict.fromkeys((*_UNETS, "stable_cascade"), "kohya"),
        **dict.fromkeys(_ONETRAINER, "onetrainer"),
    },
    reads=(
        Reads("onetrainer"),
        Reads("kohya"),
        Reads("comfyui"),
        Reads("dotted"),
        Reads("diffusers"),
    ),
    gaps=(
        Gap(
            "misreads",
            "the scale in the header is not read",
            "modules/util/load_lora_util.py",
            unseen_scale,
        ),
    ),
)

AI_TOOLKIT = Application(
    name="ai-toolkit",
    title="ai-toolkit",
    source="toolkit/lora_special.py, toolkit/network_mixins.py",
    writes={
        **dict.fromkeys(_UNETS, "kohya"),
        **dict.fromkeys(("flux", "sd3", "lumina2"), "diffusers"),
    },
    reads=(
        Reads("kohya", _UNETS),
        Reads("diffusers", ("flux", "sd3", "lumina2"), namespaces=("diffusers",)),
        Reads("comfyui", ("flux2", "krea2", "ideogram4", "minimax_h3"), namespaces=("native",)),
        Reads("comfyui", ("z_image", "qwen_image", "hidream", "chroma"), namespaces=("diffusers",)),
    ),
    gaps=(
        Gap(
            "misreads",
            "it takes alpha = rank for transformers, whatever the file says",
            "toolkit/lora_special.py",
            _scaled,
        ),
        Gap(
            "misreads",
            "DoRA magnitudes of others are not looked for",
            "toolkit/models/DoRA.py",
            any_magnitude,
        ),
    ),
    folds=True,
)
