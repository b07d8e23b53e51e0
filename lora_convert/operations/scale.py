"""Change an adapter's strength for good, or where it is written."""

from __future__ import annotations

import os
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING

from lora_convert.algorithms import ALGORITHMS, factors_of, with_factors
from lora_convert.errors import NotExpressibleError, OptionError
from lora_convert.operations.editing import AS_IT_WAS, AS_TOLD, Bench, Edited, plan_edit

if TYPE_CHECKING:
    from collections.abc import Callable

    from lora_convert.adapter import Delta
    from lora_convert.operations.editing import Writing
    from lora_convert.operations.reading import Reading
    from lora_convert.operations.writing import ConversionPlan


def plan_scale(
    source: str | os.PathLike[str],
    factor: float,
    *,
    reading: Reading = AS_TOLD,
    writing: Writing = AS_IT_WAS,
) -> ConversionPlan:
    """Work out the adapter in `source` with every ΔW times `factor`, in alpha where it has one.

    Raises OptionError for a factor of zero, NotExpressibleError for modules whose effect is not a multiple
    of anything in their file: DoRA, OFT, BOFT, replaced weights.
    """
    if not (isfinite(factor) and factor):
        raise OptionError("scale", factor, hint="for example --scale 0.8")
    edit = partial(_edited, change=partial(scaled, factor=factor))
    return plan_edit([os.fspath(source)], edit, "scaled", reading, writing)


def plan_bake(
    source: str | os.PathLike[str],
    *,
    reading: Reading = AS_TOLD,
    writing: Writing = AS_IT_WAS,
) -> ConversionPlan:
    """Work out the adapter in `source` with its scales in one factor each: alpha is the rank, scale 1."""
    return plan_edit([os.fspath(source)], _all_baked, "baked", reading, writing)


def _all_baked(bench: Bench) -> Edited:
    (adapter,) = bench.adapters
    return _edited(bench, change=baked)._replace(acts_like=adapter)


def _edited(bench: Bench, *, change: Callable[[Delta], Delta]) -> Edited:
    (adapter,) = bench.adapters
    return Edited(adapter._replace(deltas=tuple(map(change, adapter.deltas))))


def scaled(delta: Delta, factor: float) -> Delta:
    """A delta that changes any base `factor` times as much; NotExpressibleError where none does."""
    if factor == 1.0:
        return delta
    found = ALGORITHMS[delta.algorithm].algebra.scaled(factors_of(delta), factor)
    if found is None:
        directed = "magnitude" in delta.tensors and delta.algorithm != "dora"
        what = f"{'a DoRA of ' if directed else ''}{ALGORITHMS[delta.algorithm].short}"
        raise NotExpressibleError(
            f"{delta.label}: {what} has no strength that could be stored",
            why="its effect on a weight is not a multiple of anything in the file",
            hint="give the strength where it is used, or lora-convert merge FILE:0.8 --into BASE",
        )
    return with_factors(delta, found)


def baked(delta: Delta) -> Delta:
    """A delta with its scale in its factors."""
    return with_factors(delta, ALGORITHMS[delta.algorithm].algebra.folded(factors_of(delta)))
