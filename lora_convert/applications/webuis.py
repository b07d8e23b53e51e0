"""AUTOMATIC1111's web UI and Forge, which list an adapter under the base that its metadata names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import (
    DENOISERS,
    UNETS,
    bias_beside,
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

_A1111 = "AUTOMATIC1111/stable-diffusion-webui extensions-builtin/Lora"
_LISTING = f"{_A1111}/network.py at f2844bd (1.7), NetworkOnDisk.detect_version"
_FORGE_KEYS = (
    "lllyasviel/stable-diffusion-webui-forge"
    " packages_3rdparty/comfyui_lora_collection/lora.py at 5e1dcd3 (2025)"
)
_FORGE_SUMS = "lllyasviel/stable-diffusion-webui-forge backend/patcher/lora.py at cea9f37 (2025)"


def listed_under(file: File) -> str:
    """The base under which a file is shown; empty where it is shown under any."""
    if file.metadata.get("ss_base_model_version", "").startswith("sdxl_"):
        return "sdxl"
    if file.metadata.get("ss_v2") == "True":
        return "sd2"
    return "sd1" if file.metadata else ""


def _listed_elsewhere(module: Module, file: File) -> bool:
    shown = listed_under(file)
    return file.architecture in UNETS and bool(shown) and shown != file.architecture


def _half_a_norm(module: Module, file: File) -> bool:
    return module.algorithm == "norm" and "b_norm" not in module.roles


def _lone_bias(module: Module, file: File) -> bool:
    return module.roles == {"diff_b"}


def _not_attention(module: Module, file: File) -> bool:
    return file.format == "diffusers" and ".attn." not in module.name


_LISTED = Gap(
    "hides",
    "its metadata does not name the base, so it is listed under another (ss_base_model_version, ss_v2)",
    _LISTING,
    _listed_elsewhere,
)

A1111 = Application(
    name="a1111",
    title="AUTOMATIC1111 web UI",
    source=f"{_A1111}/networks.py (1.10)",
    writes={**dict.fromkeys(UNETS, "kohya"), "sd3": "diffusers"},
    reads=(
        Reads("kohya", UNETS),
        Reads("diffusers", ("sd3",), components=("transformer",)),
    ),
    gaps=(
        _LISTED,
        Gap(
            "misreads",
            "a DoRA whose norm runs over output rows is normed over input columns",
            f"{_A1111}/network.py (1.10), apply_weight_decompose",
            magnitude_by_row,
        ),
        Gap(
            "drops",
            "of SD3 it knows attention alone",
            "modules/models/sd3/sd3_model.py (1.10), diffusers_weight_mapping",
            _not_attention,
        ),
        Gap(
            "misreads",
            "the scale is in the header, and it takes 1",
            f"{_A1111}/network.py at f2844bd (1.7), calc_scale",
            unseen_scale,
        ),
        Gap(
            "misreads",
            "PEFT's DoRA magnitudes are not looked for: a DoRA acts as a plain LoRA",
            f"{_A1111}/network_lora.py (1.10)",
            peft_magnitude,
        ),
        Gap(
            "refuses",
            "a norm without b_norm is of no kind that it knows",
            f"{_A1111}/network_norm.py at 4a77b58 (1.7)",
            _half_a_norm,
        ),
        Gap(
            "refuses",
            "a change of the bias alone is of no kind that it knows",
            f"{_A1111}/network_full.py at 435a8af (1.7)",
            _lone_bias,
        ),
        Gap(
            "refuses",
            "weights that replace the base's are of no kind that it knows",
            f"{_A1111}/networks.py (1.10)",
            of("weight"),
        ),
        Gap(
            "drops",
            "GLoRA as LyCORIS has trained it since 2.0 does not fit its sum",
            f"{_A1111}/network_glora.py at 816096e (1.7)",
            of("glora"),
        ),
        Gap(
            "drops",
            "diff_b is not looked for beside a LoRA's factors",
            f"{_A1111}/network_lora.py at ea90381 (1.7)",
            bias_beside,
        ),
    ),
    folds=("diffusers",),
)

FORGE = Application(
    name="forge",
    title="Forge",
    source=_FORGE_KEYS,
    writes=dict.fromkeys((*UNETS, "flux"), "kohya"),
    reads=(
        Reads("kohya", (*UNETS, "flux")),
        Reads("comfyui", (*UNETS, "flux"), ("native",), DENOISERS),
        Reads("lycoris", (*UNETS, "flux")),
        Reads("diffusers", ("flux",), ("diffusers",), ("transformer",)),
        Reads("onetrainer", ("flux",)),
    ),
    gaps=(
        _LISTED,
        Gap(
            "misreads",
            "the scale is in the header, and it takes 1",
            _FORGE_KEYS,
            unseen_scale,
        ),
        Gap(
            "misreads",
            "PEFT's DoRA magnitudes are not looked for: a DoRA acts as a plain LoRA",
            _FORGE_KEYS,
            peft_magnitude,
        ),
        Gap(
            "misreads",
            "a DoRA whose norm runs over output rows is divided by the norm of the base alone",
            f"{_FORGE_SUMS}, weight_decompose",
            magnitude_by_row,
        ),
        Gap("drops", "lora_B.bias is not looked for", _FORGE_KEYS, trained_bias),
        Gap("drops", "names that begin with oft_unet_ are not looked for", _FORGE_KEYS, kohya_oft),
        Gap("drops", "it has no OFT, BOFT or IA3", _FORGE_SUMS, of("oft", "boft", "ia3")),
        Gap(
            "misreads", "GLoRA's core for convolutions is not looked for", _FORGE_KEYS, having("bm")
        ),
    ),
)
