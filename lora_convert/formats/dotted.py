"""Names with dots and an alpha beside each module, by whatever names: read only.

OneTrainer's internal files and its output of 2025 for the Open Model Initiative, where a fused layer's
parts have numbers (``img_attn.qkv.0``; InvokeAI, flux_onetrainer_bfl_lora_conversion_utils.py); its
``ORIGINAL`` files, which have the authors' names without a prefix (modules/util/convert_lora_util.py);
Mochi's own, whose factors are bare parameters; trainers that put kohya's endings behind Diffusers' names.
"""

from __future__ import annotations

from lora_convert.formats._declaration import Ending, Format
from lora_convert.formats._endings import DOWN_UP
from lora_convert.formats.peft import COMPONENTS

DOTTED = Format(
    name="dotted",
    title="names with dots and alphas (OneTrainer, OMI, Mochi)",
    separator=".",
    namespace="diffusers",
    prefixes={component: (f"{component}.",) for component in COMPONENTS},
    shared_prefixes=("transformer.", "base_model.model."),
    bare=True,
    endings=(
        *DOWN_UP,
        Ending("down", ".lora_A.weight"),
        Ending("up", ".lora_B.weight"),
        Ending("bias", ".lora_B.bias"),
        Ending("down", ".lora_A"),
        Ending("up", ".lora_B"),
        Ending("magnitude", ".magnitude"),
        Ending("magnitude", ".lora_magnitude_vector.weight"),
        Ending("magnitude", ".lora_magnitude_vector"),
    ),
    scale_in="tensor",
    file_name=lambda stem: f"{stem}_dotted.safetensors",
    written=False,
)
