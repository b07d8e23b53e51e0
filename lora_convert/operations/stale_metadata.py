"""Metadata that say of an adapter's tensors what is no longer so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lora_convert.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lora_convert.adapter import Delta

RANK, ALPHA = "ss_network_dim", "ss_network_alpha"
_DYNAMIC = "Dynamic"
"""What kohya's networks/resize_lora.py writes for both where modules differ."""


def without_stale(
    metadata: Mapping[str, str], deltas: Sequence[Delta]
) -> tuple[dict[str, str], dict[str, str]]:
    """Metadata without a rank or alpha that no module has, and a sentence about each of those.

    What is no number, or is of modules without a rank, may be right.
    """
    found = [(ALGORITHMS[one.algorithm].rank(one.tensors), one.scale) for one in deltas]
    has = {
        RANK: {float(rank) for rank, _ in found if rank},
        ALPHA: {scale.alpha_at(rank) for rank, scale in found if rank},
    }
    stale = [
        key
        for key, values in has.items()
        if key in metadata and values and not _is_one_of(metadata[key], values)
    ]
    notes = {key: f"{key} = {metadata[key]}: no module has it any more" for key in stale}
    return {key: value for key, value in metadata.items() if key not in stale}, notes


def _is_one_of(text: str, values: Iterable[float]) -> bool:
    try:
        said = float(text)
    except ValueError:
        return True
    return any(abs(said - value) <= 1e-6 * abs(value) for value in values)


def resized_metadata(metadata: Mapping[str, str], deltas: Sequence[Delta]) -> dict[str, str]:
    """Metadata that say the new ranks and alphas, where they said the old ones."""
    found = [(ALGORITHMS[one.algorithm].rank(one.tensors), one.scale) for one in deltas]
    said = {
        RANK: Counter(f"{rank:g}" for rank, _ in found if rank),
        ALPHA: Counter(f"{scale.alpha_at(rank):g}" for rank, scale in found if rank),
    }
    return {
        **metadata,
        **{
            key: next(iter(values)) if len(values) == 1 else _DYNAMIC
            for key, values in said.items()
            if key in metadata and values
        },
    }
