"""Lower the ranks of an adapter: the nearest ΔW of each module, and how near that is."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from math import isfinite, prod, sqrt
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import OptionError
from lora_convert.operations.approximating import change_in, ranks_of, resized
from lora_convert.operations.editing import AS_IT_WAS, AS_TOLD, Bench, Edited, plan_edit
from lora_convert.operations.resizing import Limits, ranks
from lora_convert.operations.stale_metadata import resized_metadata
from lora_convert.planning import Loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_convert.adapter import Adapter, Delta
    from lora_convert.operations.approximating import Change
    from lora_convert.operations.editing import Writing
    from lora_convert.operations.reading import Reading
    from lora_convert.operations.writing import ConversionPlan
    from lora_convert.tensors.evaluate import Array


_SHOWN = 3
"""Pairs of ranks that a loss names."""


def plan_resize(
    source: str | os.PathLike[str],
    limits: Limits,
    *,
    alpha: float | None = None,
    reading: Reading = AS_TOLD,
    writing: Writing = AS_IT_WAS,
) -> ConversionPlan:
    """Work out the adapter in `source` with lower ranks; a module that has no more stays as it is.

    What is lowered is a LoRA then, whatever it was; biases and norms have no rank.

    Ranks, shapes and errors are known from the singular values, which are computed here: from the factors,
    a module at a time. Every module keeps its scale; `alpha` is stored instead where it is given. Raises
    OptionError for limits that cannot be, NotExpressibleError for modules without a change of their own.
    """
    limits.check()
    if alpha is not None and not (isfinite(alpha) and alpha):
        raise OptionError("alpha", alpha, hint="for example --alpha 8")
    edit = partial(_resized, limits=limits, alpha=alpha)
    return plan_edit([os.fspath(source)], edit, "resized", reading, writing)


class _Module(NamedTuple):
    """A delta whose rank can be lowered."""

    delta: Delta
    change: Change
    values: Array
    """Singular values of the change, without its strength."""

    @property
    def cost(self) -> int:
        """Elements that one more rank takes."""
        return self.change.of.shape[0] + prod(self.change.of.shape[1:])


def _resized(bench: Bench, *, limits: Limits, alpha: float | None) -> Edited:
    from lora_convert.tensors.cutting import singular_values

    (adapter,) = bench.adapters
    modules = [
        _Module(delta, change, singular_values(change.of, bench.read))
        for delta in adapter.deltas
        if (change := change_in(delta))
    ]

    def lowered(sizes: Sequence[int]) -> dict[str, Delta]:
        pairs = zip(modules, sizes, strict=True)
        return {
            one.delta.label: resized(one.delta, one.change, size, bench.architecture, alpha)
            for one, size in pairs
        }

    def made(sizes: Sequence[int]) -> Adapter:
        new = lowered(sizes)
        deltas = tuple(new.get(one.label, one) for one in adapter.deltas)
        return adapter._replace(deltas=deltas, metadata=resized_metadata(adapter.metadata, deltas))

    spectra = [one.values * abs(one.change.strength) for one in modules]
    sizes = ranks(spectra, [m.cost for m in modules], limits, lambda at: bench.size_of(made(at)))
    pairs = [*zip(modules, sizes, strict=True)]
    fallen = Counter((one.change.rank, size) for one, size in pairs if size < one.change.rank)
    return Edited(
        made(sizes),
        losses=_losses(fallen),
        notes=_notes(adapter),
        fields={
            "ranks": ranks_of(made(sizes)),
            "errors": {one.delta.label: _error(one.values, size) for one, size in pairs},
        },
    )


def _error(values: Array, size: int) -> float:
    """‖ΔW − nearest‖ / ‖ΔW‖: the singular values that are left away over all."""
    import numpy

    whole = float(numpy.square(values).sum())
    return sqrt(float(numpy.square(values[size:]).sum()) / whole) if whole else 0.0


def _losses(changed: Counter[tuple[int, int]]) -> tuple[Loss, ...]:
    if not changed:
        return ()
    listed = ", ".join(
        f"{count} modules from {old} to {new}" for (old, new), count in changed.most_common(_SHOWN)
    )
    more = f", and {len(changed) - _SHOWN} other pairs" if len(changed) > _SHOWN else ""
    return (Loss("rank lowered", listed + more, changed.total()),)


def _notes(adapter: Adapter) -> tuple[str, ...]:
    directed = sum("magnitude" in delta.tensors for delta in adapter.deltas)
    if not directed:
        return ()
    said = "up and down are resized, magnitudes are kept as they are"
    return (f"{directed} modules are DoRA: {said}",)
