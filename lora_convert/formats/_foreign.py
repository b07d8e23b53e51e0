"""Formats known by name only: how their keys look, so that they are refused by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple


class Foreign(NamedTuple):
    """A format that is recognised and not read."""

    title: str
    pattern: str
    """An expression, matched at the beginning of a key."""


FOREIGN = (
    Foreign("a ControlNet-LLLite", r"lllite_"),
    Foreign("an SAI control LoRA", r"lora_controlnet$"),
    Foreign("a Custom Diffusion file", r".*_custom_diffusion"),
    Foreign("a OneTrainer bundled embedding", r"bundle_emb\."),
    Foreign(
        "a textual inversion embedding",
        r"emb_params$|string_to_param|clip_[lg]$|<[^>]+>$",
    ),
)


_OF_ADAPTERS = re.compile(
    r"lora|lycoris|hada_|lokr_|oft_|ia3_|vera_|lllite|custom_diffusion|bundle_emb|dora_scale"
    r"|\.(alpha|diff|diff_b|w_norm|b_norm)$|:(up|down)$"
)
"""What the names of any adapter's tensors hold."""
_OF_MODELS = (".weight", ".bias", ".scale")


def known_as(keys: Iterable[str], all_keys: Collection[str]) -> str:
    """The title of the foreign format that some of `keys` belong to, or an empty string.

    `all_keys` are those of the whole file: an adapter's may be among the others.
    """
    listed = tuple(keys)
    if listed and _is_whole_model(all_keys):
        return "a whole model without an adapter"
    for foreign in FOREIGN:
        begins = re.compile(foreign.pattern).match
        if any(begins(key) for key in listed):
            return foreign.title
    return ""


def _is_whole_model(keys: Collection[str]) -> bool:
    """Whether names are a model's own: checkpoints of one file hold a few other things too."""
    own = sum(key.endswith(_OF_MODELS) for key in keys)
    return 2 * own > len(keys) and not any(map(_OF_ADAPTERS.search, keys))
