"""Black Forest Labs' control LoRAs, FLUX.1 Canny and Depth: read only.

The authors' names without a prefix, a trained bias with each factor, and the normalisations of attention
whole (diffusers 0.42.1, loaders/lora_conversion_utils.py, _convert_bfl_flux_control_lora_to_diffusers).
There is no alpha: the scale is 1.
"""

from __future__ import annotations

from lora_convert.formats._declaration import Ending, Format
from lora_convert.formats._endings import NATIVE_NORMS

BFL = Format(
    name="bfl",
    title="Black Forest Labs (FLUX.1 control LoRA)",
    separator=".",
    namespace="native",
    prefixes={},
    bare=True,
    endings=(
        Ending("down", ".lora_A.weight"),
        Ending("up", ".lora_B.weight"),
        Ending("bias", ".lora_B.bias"),
        *NATIVE_NORMS,
    ),
    scale_in="factors",
    file_name=lambda stem: f"{stem}_bfl.safetensors",
    written=False,
)
