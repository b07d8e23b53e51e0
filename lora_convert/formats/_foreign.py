"""Formats known by name only: how their keys look, so that they are refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Foreign(NamedTuple):
    """A format that is recognised and not read."""

    title: str
    pattern: re.Pattern[str]
    """Matched at the beginning of a key."""


FOREIGN = (
    Foreign("a cloneofsimo LoRA (safeloras)", re.compile(r"[a-z_]+:\d+:(up|down)$")),
    Foreign(
        "an XLabs FLUX LoRA",
        re.compile(r"(diffusion_model\.)?(double|single)_blocks\.\d+\.processor\.(qkv|proj)_lora"),
    ),
    Foreign(
        "a BFL control LoRA",
        re.compile(r"(double|single)_blocks\.\d+\..*norm\.(query|key)_norm\.scale$"),
    ),
    Foreign("a ControlNet-LLLite", re.compile(r"lllite_")),
    Foreign("an SAI control LoRA", re.compile(r"lora_controlnet$")),
    Foreign("a Custom Diffusion file", re.compile(r".*_custom_diffusion")),
    Foreign(
        "a OneTrainer LoRA (lora_transformer_)",
        re.compile(r"lora_(transformer|prior_unet|prior_te)_"),
    ),
    Foreign("a OneTrainer bundled embedding", re.compile(r"bundle_emb\.")),
    Foreign("a LyCORIS wrapper file", re.compile(r"lycoris_")),
    Foreign("a kohya OFT", re.compile(r"oft_unet_")),
    Foreign("a ComfyUI LoRA (diffusion_model.)", re.compile(r"(model\.)?diffusion_model\.")),
    Foreign("a ComfyUI LoRA (text_encoders.)", re.compile(r"text_encoders\.")),
    Foreign(
        "a LoRA with original names and dots (OneTrainer, DiffSynth, fal)",
        re.compile(
            r"(base_model\.model\.|transformer\.)?(double_blocks|single_blocks|input_blocks|output_blocks|middle_block|joint_blocks)\."
        ),
    ),
    Foreign(
        "a LoRA with dots and lora_down (OneTrainer, LyCORIS)",
        re.compile(r"(?!lora_)[^.]+\..+\.((lora_down|lora_up)\.weight|dora_scale|alpha)$"),
    ),
    Foreign(
        "a textual inversion embedding",
        re.compile(r"emb_params$|string_to_param|clip_[lg]$|<[^>]+>$"),
    ),
)


def known_as(keys: Iterable[str]) -> str:
    """The title of the foreign format that some of these keys belong to, or an empty string."""
    listed = tuple(keys)
    for foreign in FOREIGN:
        if any(foreign.pattern.match(key) for key in listed):
            return foreign.title
    return ""
