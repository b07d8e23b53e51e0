"""Configurations of PEFT as they are written: what a reader needs, and no more."""

from __future__ import annotations

from collections import Counter
from math import sqrt
from typing import TYPE_CHECKING

from lora_convert.formats._tuners import TUNERS, fitted_lokr, layout, tuner_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lora_convert.formats._declaration import ScaleEntry


def write_config(algorithm: str, entries: Sequence[ScaleEntry], *, bias: bool) -> dict[str, object]:
    """The fields that give each module its rank and scale, and no other.

    A reader whose peft does not know a field refuses the file, so only what is needed is written.
    NotExpressibleError where one configuration cannot say it for all modules.
    """
    kind, tuner = tuner_of(algorithm) or ("LORA", TUNERS["LORA"])
    config: dict[str, object] = {"target_modules": sorted(entry.module for entry in entries)}
    fields = layout(kind, entries)
    if kind == "LOKR":
        entries, fields = fitted_lokr(entries)
    if not tuner.alpha:
        return config | fields
    stabilised = kind == "LORA" and all(
        entry.scale.divisor == sqrt(entry.rank) and entry.scale.divisor != entry.rank
        for entry in entries
    )
    ranks = {entry.module: entry.rank for entry in entries}
    alphas = {
        entry.module: entry.scale.alpha_at(sqrt(entry.rank) if stabilised else entry.rank)
        for entry in entries
    }
    rank = _most_common(ranks.values())
    alpha = _most_common(alphas.values())
    config |= {
        "r": rank,
        tuner.alpha: _plain(alpha),
        "rank_pattern": _patterns(ranks, rank),
        "alpha_pattern": _patterns(alphas, alpha),
        **fields,
    }
    flags = {"use_dora": algorithm == "dora", "use_rslora": stabilised, "lora_bias": bias}
    return config | {name: True for name, value in flags.items() if value}


def document_fields(algorithm: str) -> dict[str, object]:
    """What ``adapter_config.json`` says of an algorithm besides."""
    kind, tuner = tuner_of(algorithm) or ("LORA", TUNERS["LORA"])
    return {"peft_type": kind, **tuner.fields}


def _most_common(values: Iterable[float]) -> float:
    counted = Counter(values)
    return max(counted, key=lambda value: (counted[value], -value))


def _patterns(values: Mapping[str, float], default: float) -> dict[str, float]:
    """Full names of the modules that differ from the default.

    A name matches the end of longer ones too, so one that is the end of another is anchored.
    """
    listed = {module: value for module, value in values.items() if value != default}
    ends = {module for module in listed if any(other.endswith(f".{module}") for other in values)}
    return {
        f"^{module}" if module in ends else module: _plain(value)
        for module, value in sorted(listed.items())
    }


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value
