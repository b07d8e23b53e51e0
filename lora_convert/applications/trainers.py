"""Trainers that go on from an adapter: sd-scripts, musubi-tuner, OneTrainer, ai-toolkit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import (
    UNETS,
    any_magnitude,
    bias_beside,
    having,
    not_of,
    of,
    unseen_scale,
)
from lora_convert.applications._declaration import Application, Gap, Reads

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

_SD_SCRIPTS = ("sd1", "sd2", "sdxl", "sd3", "flux", "chroma", "lumina2", "anima", "hunyuan_image")
_WITH_PRODUCTS = ("sdxl", "anima")
"""Models that sd-scripts trains LoHa and LoKr of."""
_MUSUBI = (
    "hunyuan_video",
    "hunyuan_video15",
    "framepack",
    "wan",
    "flux",
    "flux2",
    "qwen_image",
    "qwen_image21",
    "z_image",
    "kandinsky5",
    "ideogram4",
    "krea2",
    "ernie_image",
    "minimax_h3",
)
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
_PEFT_FORMAT = ("flux", "sd3", "lumina2")
_NATIVE = ("flux2", "krea2", "ideogram4", "minimax_h3", "qwen_image")
_LORA = "kohya-ss/sd-scripts networks/lora.py at 6a584ca (2025)"
_LOKR = "kohya-ss/sd-scripts networks/lokr.py at aff4a2e (2026)"
_BASE = "kohya-ss/sd-scripts networks/network_base.py at 95c599f (2026), detect_arch_config"
_MERGE = "kohya-ss/musubi-tuner src/musubi_tuner/utils/lora_utils.py (2026)"
_MERGE_LOKR = "kohya-ss/musubi-tuner src/musubi_tuner/networks/lokr.py (2026)"
_OT = "Nerogar/OneTrainer modules/util/load_lora_util.py at 221092c (2026)"
_MIXINS = "ostris/ai-toolkit toolkit/network_mixins.py at 0ef3aa2 (2025), load_weights"


def _scaled(module: Module, file: File) -> bool:
    return file.format != "kohya" and module.scale.value != 1.0


def _products(module: Module, file: File) -> bool:
    return module.algorithm in {"loha", "lokr"} and file.architecture not in _WITH_PRODUCTS


SD_SCRIPTS = Application(
    name="sd-scripts",
    title="kohya-ss sd-scripts",
    source=f"{_LORA}, lora_flux.py, lora_sd3.py, lora_lumina.py, lora_anima.py",
    writes=dict.fromkeys(_SD_SCRIPTS, "kohya"),
    reads=(Reads("kohya", _SD_SCRIPTS),),
    gaps=(
        Gap(
            "misreads",
            "dora_scale is not looked for: a DoRA acts without its magnitude",
            _LORA,
            any_magnitude,
        ),
        Gap("drops", "of LoHa and LoKr it knows those of SDXL and Anima alone", _BASE, _products),
        Gap("refuses", "a LoKr whose first factor is in two parts", _LOKR, having("lokr_w1_a")),
        Gap("misreads", "a LoRA's core for convolutions is not looked for", _LORA, having("mid")),
        Gap("drops", "diff_b is not looked for", _LORA, bias_beside),
        Gap(
            "drops",
            "other algorithms than LoRA, LoHa and LoKr are not looked for",
            _LORA,
            not_of("lora", "dora", "loha", "lokr"),
        ),
    ),
)

MUSUBI = Application(
    name="musubi",
    title="musubi-tuner",
    source=_MERGE,
    writes=dict.fromkeys(_MUSUBI, "kohya"),
    reads=(Reads("kohya", _MUSUBI, components=("transformer", "transformer_2")),),
    gaps=(
        Gap(
            "misreads",
            "dora_scale is not looked for: a DoRA acts without its magnitude",
            _MERGE,
            any_magnitude,
        ),
        Gap(
            "drops",
            "a LoKr whose first factor is in two parts is not looked for",
            _MERGE_LOKR,
            having("lokr_w1_a"),
        ),
        Gap("drops", "diff_b is not looked for", _MERGE, bias_beside),
        Gap(
            "drops",
            "other algorithms than LoRA, LoHa and LoKr are not looked for",
            _MERGE,
            not_of("lora", "dora", "loha", "lokr"),
        ),
    ),
)

ONETRAINER = Application(
    name="onetrainer",
    title="OneTrainer",
    source=_OT,
    writes={
        **dict.fromkeys((*UNETS, "stable_cascade"), "kohya"),
        **dict.fromkeys(_ONETRAINER, "onetrainer"),
    },
    reads=(
        Reads("onetrainer"),
        Reads("kohya"),
        Reads("comfyui"),
        Reads("lycoris"),
        Reads("dotted"),
        Reads("diffusers"),
        Reads("peft"),
    ),
    gaps=(
        Gap(
            "misreads",
            "the scale in the header or a configuration is not read",
            f"{_OT}, _synthesize_alpha",
            unseen_scale,
        ),
        Gap(
            "refuses",
            "other algorithms than LoRA, LoHa, LoKr and OFT",
            f"{_OT}, _reject_unsupported_algorithms",
            of("full", "norm", "ia3", "glora", "weight"),
        ),
        Gap(
            "refuses",
            "a trained bias beside a module's factors",
            f"{_OT}, _reject_unsupported_algorithms",
            having("bias", "diff_b"),
        ),
        Gap("drops", "its OFT is PEFT's: LyCORIS' is not looked for", _OT, of("oft", "boft")),
    ),
)

AI_TOOLKIT = Application(
    name="ai-toolkit",
    title="ai-toolkit",
    source=_MIXINS,
    writes={
        **dict.fromkeys(UNETS, "kohya"),
        **dict.fromkeys(_PEFT_FORMAT, "diffusers"),
        **dict.fromkeys(_NATIVE, "comfyui"),
    },
    reads=(
        Reads("kohya", UNETS),
        Reads("diffusers", _PEFT_FORMAT, ("diffusers",), ("transformer",)),
        Reads("comfyui", _NATIVE, ("native",), ("transformer",)),
        Reads("comfyui", ("z_image", "hidream", "chroma"), ("diffusers",), ("transformer",)),
    ),
    gaps=(
        Gap(
            "misreads",
            "it takes alpha = rank for transformers, whatever the file says",
            _MIXINS,
            _scaled,
        ),
        Gap(
            "misreads",
            "a DoRA's magnitude has another name there, and is not looked for",
            "ostris/ai-toolkit toolkit/models/DoRA.py at 01c9f83 (2025)",
            any_magnitude,
        ),
        Gap(
            "drops",
            "other algorithms than LoRA and LoKr are not looked for",
            _MIXINS,
            not_of("lora", "dora", "lokr"),
        ),
        Gap("drops", "biases are not looked for", _MIXINS, having("bias", "diff_b")),
    ),
    folds=("diffusers", "comfyui"),
)
