"""InvokeAI and stable-diffusion.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import (
    DENOISERS,
    ENCODERS,
    UNETS,
    any_magnitude,
    bias_beside,
    having,
    kohya_oft,
    magnitude_by_row,
    of,
    outside_blocks,
    peft_magnitude,
    trained_bias,
    unseen_scale,
)
from lora_convert.applications._declaration import Application, Gap, Reads
from lora_convert.applications._unflattening import comes_apart

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

_PATCHES = "invoke-ai/InvokeAI invokeai/backend/patches"
_LAYERS = f"{_PATCHES}/layers/utils.py at 2d240c4 (2025)"
_CONVERSIONS = f"{_PATCHES}/lora_conversions"
_CONFIGS = "invoke-ai/InvokeAI invokeai/backend/model_manager/configs/lora.py (2026)"
_WITHOUT_ALPHA = ("z_image", "qwen_image", "krea2", "anima")


def _single_blocks(module: Module, file: File) -> bool:
    return file.format == "xlabs" and module.name.startswith("single_blocks.")


def _third_encoder(module: Module, file: File) -> bool:
    own = file.architecture == "flux" and module.component == "text_encoder_2"
    return own and file.format == "kohya"


def _flattened_top(module: Module, file: File) -> bool:
    flattened = file.format in {"kohya", "onetrainer"}
    return flattened and outside_blocks("flux")(module, file)


def _norm_out(module: Module, file: File) -> bool:
    own = file.architecture == "flux" and file.format in {"diffusers", "peft"}
    return own and module.name == "norm_out.linear"


def _down_up(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture in {"flux", "flux2"}
    return own and ".lora_down." in module.key


def _alpha_beside_ab(module: Module, file: File) -> bool:
    own = file.format in {"comfyui", "dotted"} and file.architecture in _WITHOUT_ALPHA
    return own and ".lora_A." in module.key and module.scale.value != 1.0


def _product_magnitude(module: Module, file: File) -> bool:
    return "magnitude" in module.roles and module.algorithm in {"loha", "lokr"}


def _beside_fused(module: Module, file: File) -> bool:
    fused = module.algorithm in {"loha", "lokr"} or "magnitude" in module.roles
    return file.architecture == "minimax_h3" and fused


INVOKEAI = Application(
    name="invokeai",
    title="InvokeAI",
    source=_CONFIGS,
    writes={
        **dict.fromkeys((*UNETS, "anima"), "kohya"),
        # kohya's T5 has a number there that InvokeAI refuses
        "flux": "onetrainer",
        **dict.fromkeys(("flux2", "z_image", "qwen_image", "wan"), "diffusers"),
        **dict.fromkeys(("krea2", "minimax_h3"), "comfyui"),
    },
    reads=(
        Reads("kohya", UNETS),
        Reads("kohya", ("flux", "anima", "wan", "qwen_image", "krea2", "minimax_h3")),
        Reads("diffusers", ("flux", "flux2", "z_image", "qwen_image"), ("diffusers",)),
        Reads("diffusers", ("wan", "krea2")),
        Reads("diffusers", ("minimax_h3",), ("native",)),
        Reads("peft", ("flux", "flux2"), ("diffusers", "native")),
        Reads("comfyui", ("flux", "flux2", "anima", "wan", "krea2", "minimax_h3"), ("native",)),
        Reads("comfyui", ("z_image", "krea2"), ("diffusers",)),
        Reads("onetrainer", ("flux",)),
        Reads("dotted", ("flux",)),
        Reads("dotted", ("qwen_image",), ("diffusers",)),
        Reads("xlabs", ("flux",)),
        Reads("bfl", ("flux",)),
    ),
    gaps=(
        Gap(
            "misreads",
            "the scale is in the header or a configuration, and it takes 1",
            f"{_PATCHES}/layers/lora_layer_base.py at 2d240c4 (2025)",
            unseen_scale,
        ),
        Gap(
            "misreads",
            "alpha beside lora_A and lora_B is not looked for",
            f"{_CONVERSIONS}/anima_lora_conversion_utils.py at 09fdc54 (2026)",
            _alpha_beside_ab,
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
            f"{_PATCHES}/layers/dora_layer.py at 3372c8e (2025)",
            magnitude_by_row,
        ),
        Gap(
            "refuses",
            "a magnitude beside LoHa or LoKr is taken for a LoRA's",
            f"{_PATCHES}/layers/dora_layer.py at 3372c8e (2025)",
            _product_magnitude,
        ),
        Gap(
            "refuses",
            "it has no OFT, BOFT or GLoRA, and no weights that replace the base's",
            _LAYERS,
            of("oft", "boft", "glora", "weight"),
        ),
        Gap("drops", "diff_b is left out, with a warning", _LAYERS, bias_beside),
        Gap("refuses", "names that begin with oft_unet_", _CONFIGS, kohya_oft),
        Gap("refuses", "lora_B.bias is of no layer that it knows", _LAYERS, trained_bias),
        Gap(
            "refuses",
            "FLUX's T5 under the number that kohya gives it, te3",
            f"{_CONVERSIONS}/flux_kohya_lora_conversion_utils.py at b2cb34f (2025)",
            _third_encoder,
        ),
        Gap(
            "refuses",
            "flattened names of FLUX's modules outside of blocks",
            f"{_CONVERSIONS}/flux_kohya_lora_conversion_utils.py at b2cb34f (2025)",
            _flattened_top,
        ),
        Gap(
            "refuses",
            "FLUX's norm_out is left over",
            f"{_CONVERSIONS}/flux_diffusers_lora_conversion_utils.py at 5f12317 (2025)",
            _norm_out,
        ),
        Gap(
            "refuses",
            "FLUX's own names with lora_down and lora_up",
            f"{_CONVERSIONS}/flux_bfl_peft_lora_conversion_utils.py at 540b2ee (2026)",
            _down_up,
        ),
        Gap(
            "drops",
            "modules outside of blocks are left out",
            f"{_CONVERSIONS}/wan_lora_conversion_utils.py at 11b7eb3 (2026)",
            outside_blocks("wan"),
        ),
        Gap(
            "refuses",
            "of MiniMax-H3 it takes LoRA alone",
            f"{_CONVERSIONS}/minimax_h3_lora_constants.py (2026)",
            _beside_fused,
        ),
        Gap(
            "refuses",
            "XLabs' single blocks are not known",
            f"{_CONVERSIONS}/flux_xlabs_lora_conversion_utils.py at c309d0e (2026)",
            _single_blocks,
        ),
    ),
    folds=("diffusers", "peft"),
)

_NAMES = "leejet/stable-diffusion.cpp src/name_conversion.cpp at 15f335d (2026)"
_SUMS = "leejet/stable-diffusion.cpp src/model/adapter/lora.hpp at 122076b (2026)"
_MAPPED = ("sd3", "flux", "flux2", "z_image", "krea2")
"""Models whose names in Diffusers it maps to its own."""
_DITS = (
    *_MAPPED,
    "chroma",
    "wan",
    "qwen_image",
    "qwen_image21",
    "anima",
    "ernie_image",
    "minimax_h3",
)


def _torn(module: Module, file: File) -> bool:
    flattened = file.format in {"kohya", "lycoris"} or file.architecture in UNETS
    return flattened and comes_apart(module.name)


def _rank_of_one(module: Module, file: File) -> bool:
    return module.algorithm == "lokr" and module.scale.divisor == 1 and module.scale.value != 1


SD_CPP = Application(
    name="sd.cpp",
    title="stable-diffusion.cpp",
    source=_NAMES,
    writes={**dict.fromkeys(UNETS, "kohya"), **dict.fromkeys(_DITS, "comfyui")},
    reads=(
        Reads("kohya", UNETS),
        Reads("kohya", _DITS, components=DENOISERS),
        Reads("kohya", ("flux",), components=("text_encoder", "text_encoder_2")),
        Reads("comfyui", UNETS, components=("unet",)),
        Reads("comfyui", _DITS, ("native",), DENOISERS),
        Reads("comfyui", _MAPPED, ("diffusers",), DENOISERS),
        Reads("comfyui", ("sd3", "flux", "chroma"), components=ENCODERS),
        Reads("diffusers", UNETS),
        Reads("diffusers", (*_MAPPED, "qwen_image"), components=("transformer",)),
        Reads("lycoris", (*UNETS, "sd3", "flux", "flux2", "qwen_image")),
        Reads("dotted", ("sd3", "flux", "flux2", "qwen_image"), ("diffusers",), ("transformer",)),
    ),
    gaps=(
        Gap(
            "drops",
            "flattened names that it takes apart at the wrong places",
            f"{_NAMES}, convert_sep_to_dot",
            _torn,
        ),
        Gap(
            "misreads",
            "the scale is in the header or a configuration, and it takes 1",
            _SUMS,
            unseen_scale,
        ),
        Gap(
            "misreads",
            "DoRA magnitudes are left out: a DoRA acts as a plain LoRA",
            _SUMS,
            any_magnitude,
        ),
        Gap(
            "drops",
            "it has no OFT, BOFT, GLoRA, IA3, norms, and no weights that replace the base's",
            _SUMS,
            of("oft", "boft", "glora", "ia3", "norm", "weight"),
        ),
        Gap("drops", "names that begin with oft_unet_ are not looked for", _NAMES, kohya_oft),
        Gap("drops", "a LoKr's core for convolutions is not looked for", _SUMS, having("lokr_t2")),
        Gap("misreads", "the alpha of a LoKr of rank 1 is not looked at", _SUMS, _rank_of_one),
        Gap("drops", "lora_B.bias is not looked for", _NAMES, trained_bias),
    ),
)
