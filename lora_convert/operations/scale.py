"""Change an adapter's strength for good, or where it is written."""

from __future__ import annotations

import os
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING

from lora_convert.adapter import Scale
from lora_convert.algorithms.lora import rank
from lora_convert.errors import NotExpressibleError, OptionError
from lora_convert.operations.approximating import product_of
from lora_convert.operations.editing import AS_IT_WAS, AS_TOLD, Bench, Edited, plan_edit
from lora_convert.tensors.build import cast, times

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
    """Work out the adapter in `source` with every ΔW times `factor`; no factor is touched, alpha is.

    Raises OptionError for a factor of zero, NotExpressibleError for modules that are no LoRA: the effect of
    a DoRA is not a multiple of anything in its file.
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
    """Work out the adapter in `source` with its scales in the ``up`` factors: alpha is the rank, scale 1."""
    return plan_edit([os.fspath(source)], _all_baked, "baked", reading, writing)


def _all_baked(bench: Bench) -> Edited:
    (adapter,) = bench.adapters
    return _edited(bench, change=baked)._replace(acts_like=adapter)


def _edited(bench: Bench, *, change: Callable[[Delta], Delta]) -> Edited:
    (adapter,) = bench.adapters
    return Edited(adapter._replace(deltas=tuple(map(change, adapter.deltas))))


def scaled(delta: Delta, factor: float) -> Delta:
    """A LoRA with its ΔW times `factor`."""
    if factor == 1.0:
        return delta
    if delta.algorithm != "lora":
        raise NotExpressibleError(
            f"{delta.label}: a {delta.algorithm} has no strength that could be stored",
            why="its effect on a weight is not a multiple of anything in the file",
            hint="give the strength where it is used, or lora-convert merge FILE:0.8 --into BASE",
        )
    return delta._replace(scale=Scale(delta.scale.alpha * factor, delta.scale.divisor))


def baked(delta: Delta) -> Delta:
    """A LoRA with its scale in ``up``; NotExpressibleError for anything else."""
    product_of(delta, "baked")
    size = rank(delta.tensors)
    folded = {
        role: cast(times(tensor, delta.scale.value), tensor.dtype)
        for role, tensor in delta.tensors.items()
        if role in {"up", "bias"}
    }
    return delta._replace(tensors={**delta.tensors, **folded}, scale=Scale(size, size))
