"""LyCORIS' own wrapper: the wrapped model's names flattened after ``lycoris_``.

So SimpleTuner saves what LyCORIS trains (lycoris/wrapper.py; SimpleTuner training/save_hooks.py). Nothing
tells the components of a pipeline apart, so only a denoiser is written.
"""

from __future__ import annotations

from lora_convert.formats._declaration import Format
from lora_convert.formats._endings import DOWN_UP, IA3

LYCORIS = Format(
    name="lycoris",
    title="LyCORIS wrapper (lycoris_; SimpleTuner)",
    separator="_",
    namespace="diffusers",
    prefixes=dict.fromkeys(("transformer", "unet", "prior"), ("lycoris_",)),
    endings=(*DOWN_UP, *IA3),
    scale_in="tensor",
    file_name=lambda stem: f"{stem}_lycoris.safetensors",
    magnitude="column",
)
