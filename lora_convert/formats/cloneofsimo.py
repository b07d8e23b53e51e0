"""cloneofsimo's LoRA of 2022: modules are numbered, not named: read only.

A safeloras file has ``unet:0:up`` and ``unet:0:down``, and what it knows of ranks and classes in its
metadata; words it learned besides are under their own names. A ``.pt`` is a list of ups and downs in turn,
that of the text encoder in a file of its own (cloneofsimo/lora, lora_diffusion/lora.py). The numbers are
those of a walk over the model's attention layers. There is no alpha: the scale is the user's, and 1.
"""

from __future__ import annotations

from lora_convert.formats._declaration import Ending, Format

CLONEOFSIMO = Format(
    name="cloneofsimo",
    title="cloneofsimo (safeloras, lists of tensors)",
    separator=":",
    namespace="diffusers",
    prefixes={"unet": ("unet:",), "text_encoder": ("text_encoder:",)},
    endings=(Ending("up", ":up"), Ending("down", ":down")),
    scale_in="factors",
    file_name=lambda stem: f"{stem}_cloneofsimo.safetensors",
    written=False,
    own_metadata=("unet", "text_encoder", "<"),
)
