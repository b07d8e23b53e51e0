"""mflux, before it took Diffusers' names: FLUX on Apple's chips: read only.

Factors are bare parameters under Diffusers' names, but the layers of a feed-forward are ``linear1`` and
``linear2``. There is no alpha: the scale is 1 (mflux 0.5, dreambooth/lora_layers/lora_layers.py). What
mflux trains now is Diffusers' (models/flux2/training_adapter).
"""

from __future__ import annotations

from lora_convert.formats._declaration import Ending, Format

_FACTORS = (("down", ".lora_A"), ("up", ".lora_B"))

MFLUX = Format(
    name="mflux",
    title="mflux (bare lora_A and lora_B)",
    separator=".",
    namespace="diffusers",
    prefixes={"transformer": ("transformer.",)},
    endings=(
        *(Ending(role, text) for role, text in _FACTORS),
        *(Ending(role, f".linear1{text}", tail=".net.0.proj") for role, text in _FACTORS),
        *(Ending(role, f".linear2{text}", tail=".net.2") for role, text in _FACTORS),
    ),
    scale_in="factors",
    file_name=lambda stem: f"{stem}_mflux.safetensors",
    written=False,
    own_metadata=("mflux_version", "transformer_blocks", "single_transformer_blocks"),
)
