"""ComfyUI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import (
    DENOISERS,
    ENCODERS,
    UNETS,
    having,
    kohya_oft,
    magnitude_by_row,
    of,
    peft_magnitude,
    trained_bias,
    unseen_scale,
)
from lora_convert.applications._declaration import Application, Gap, Reads

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

_KEYS = "Comfy-Org/ComfyUI comfy/lora.py at 17358c8 (2026)"
_LORA = "Comfy-Org/ComfyUI comfy/weight_adapter/lora.py at 6f98b15 (2026)"
_BASE = "comfyanonymous/ComfyUI comfy/weight_adapter/base.py at 9c0cf36 (2025)"
_OFT = "comfyanonymous/ComfyUI comfy/weight_adapter/oft.py at 3684cff (2025)"
_BOFT = "comfyanonymous/ComfyUI comfy/weight_adapter/boft.py at 204e96f (2025)"
_GLORA = "comfyanonymous/ComfyUI comfy/weight_adapter/glora.py at 17adbb5 (2026)"
_DETECTION = "Comfy-Org/ComfyUI comfy/model_detection.py at 0b61ce5 (2026)"
_MODELS = (
    "sdxl_refiner",
    "stable_cascade",
    "sd3",
    "auraflow",
    "pixart",
    "hunyuan_dit",
    "flux",
    "flux2",
    "chroma",
    "hidream",
    "lumina2",
    "z_image",
    "qwen_image",
    "qwen_image21",
    "krea2",
    "ideogram4",
    "ernie_image",
    "anima",
    "hunyuan_image",
    "hunyuan_video",
    "hunyuan_video15",
    "cosmos1",
    "cosmos2",
    "mochi",
    "ltx_video",
    "ltx2",
    "wan",
    "skyreels_v2",
    "wan_animate2",
    "kandinsky5",
    "ace_step",
    "minimax_h3",
)
"""Models that it has beside the usual UNets."""
_ALL_UNETS = (*UNETS, "sdxl_refiner")
_DIFFUSERS = ("sd3", "auraflow", "pixart", "flux", "z_image", "krea2")
"""Models whose names in Diffusers it maps after ``transformer.``."""
_NATIVE = ("hidream", "qwen_image", "qwen_image21", "kandinsky5", "ernie_image")
"""Models whose own names it takes after ``transformer.``."""
_BARE = (
    "qwen_image",
    "qwen_image21",
    "mochi",
    "ace_step",
    "ltx_video",
    "ltx2",
    "minimax_h3",
    "kandinsky5",
)
"""Models whose own names it takes without a prefix."""
_KOHYA_ENCODERS = (
    *UNETS,
    "sd3",
    "flux",
    "chroma",
    "pixart",
    "hunyuan_dit",
    "stable_cascade",
    "lumina2",
    "anima",
    "z_image",
)


def _attention_of_unets(module: Module, file: File) -> bool:
    return file.format == "diffusers" and module.component == "unet" and ".to_" in module.name


def _projection(module: Module, file: File) -> bool:
    encoder = module.component in ENCODERS
    return file.format == "diffusers" and encoder and module.name == "text_projection"


def _part_of_xlabs(module: Module, file: File) -> bool:
    last = ("single_transformer_blocks.37.", "single_blocks.37.")
    return file.format == "xlabs" and not any(one.name.startswith(last) for one in file.modules)


def _limited(module: Module, file: File) -> bool:
    return module.algorithm in {"oft", "boft"} and bool(module.settings.get("constraint"))


def _without_alpha(module: Module, file: File) -> bool:
    return module.algorithm == "boft" and "constraint" not in module.settings


def _rescaled_oft(module: Module, file: File) -> bool:
    return module.algorithm == "oft" and "rescale" in module.roles


COMFYUI = Application(
    name="comfyui",
    title="ComfyUI",
    source=f"{_KEYS}, {_DETECTION}",
    # for UNets kohya's, which A1111 and Forge read too
    writes={**dict.fromkeys(_MODELS, "comfyui"), **dict.fromkeys(UNETS, "kohya")},
    reads=(
        Reads("comfyui", namespaces=("native",)),
        Reads("comfyui", ("z_image", "krea2"), namespaces=("diffusers",)),
        Reads("comfyui", ("hunyuan_video",), namespaces=("original",)),
        Reads("comfyui", components=ENCODERS),
        Reads("kohya", namespaces=("native",), components=DENOISERS),
        Reads("kohya", _ALL_UNETS, namespaces=("diffusers",), components=("unet",)),
        Reads("kohya", _KOHYA_ENCODERS, components=ENCODERS),
        Reads("onetrainer", ("flux", "sd3")),
        Reads("lycoris", (*_ALL_UNETS, "flux", "sd3", "z_image", "krea2")),
        Reads("lycoris", ("hidream", "qwen_image", "qwen_image21"), namespaces=("native",)),
        Reads("diffusers", _DIFFUSERS, ("diffusers",), ("transformer",)),
        Reads("diffusers", _NATIVE, ("native",), ("transformer",)),
        Reads("diffusers", ("hunyuan_video",), ("original",), ("transformer",)),
        Reads("diffusers", _ALL_UNETS, components=("unet",)),
        Reads("diffusers", (*UNETS, "sd3"), components=("text_encoder", "text_encoder_2")),
        Reads("diffusers", ("flux",), components=("text_encoder",)),
        Reads("peft", ("sd3", "pixart"), ("diffusers",), ("transformer",)),
        Reads("peft", ("hunyuan_dit",), ("native",), ("transformer",)),
        Reads("dotted", ("flux", "z_image", "krea2"), namespaces=("diffusers",)),
        Reads("dotted", _BARE, namespaces=("native",)),
        Reads("xlabs", ("flux",)),
        Reads("bfl", ("flux",)),
    ),
    gaps=(
        Gap(
            "drops",
            "attention of UNets under Diffusers' names: it knows only those of 2023",
            _KEYS,
            _attention_of_unets,
        ),
        Gap(
            "drops",
            "a text encoder's projection under Diffusers' names is not looked for",
            _KEYS,
            _projection,
        ),
        Gap(
            "misreads",
            "the scale is in the header or a configuration, and it takes 1",
            _LORA,
            unseen_scale,
        ),
        Gap(
            "misreads",
            "PEFT's DoRA magnitudes are not looked for: a DoRA acts as a plain LoRA",
            _LORA,
            peft_magnitude,
        ),
        Gap(
            "misreads",
            "a DoRA whose norm runs over output rows is divided by the norm of the base alone",
            f"{_BASE}, weight_decompose",
            magnitude_by_row,
        ),
        Gap("drops", "lora_B.bias is not looked for", _LORA, trained_bias),
        Gap("drops", "names that begin with oft_unet_ are not looked for", _KEYS, kohya_oft),
        Gap(
            "drops",
            "XLabs' names are looked for only where the last single block, 37, has some",
            "Comfy-Org/ComfyUI comfy/lora_convert.py at 2bffe2f (2026)",
            _part_of_xlabs,
        ),
        Gap("drops", "it has no IA3", "comfy/weight_adapter (2026)", of("ia3")),
        Gap("misreads", "OFT's rescale is loaded, and not applied", _OFT, _rescaled_oft),
        Gap(
            "misreads",
            "a constraint of OFT or BOFT is taken for all outputs, not for each",
            _OFT,
            _limited,
        ),
        Gap("drops", "a BOFT without an alpha beside it fails", _BOFT, _without_alpha),
        Gap("misreads", "GLoRA's core for convolutions is not looked for", _GLORA, having("bm")),
    ),
)
