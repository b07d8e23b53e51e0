"""Lower the ranks of an adapter: the nearest ΔW of each module, and how near that is."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from math import isfinite, sqrt
from typing import TYPE_CHECKING

from lora_convert.algorithms.lora import rank
from lora_convert.errors import OptionError
from lora_convert.operations.approximating import product_of, ranks_of, resized
from lora_convert.operations.editing import AS_IT_WAS, AS_TOLD, Bench, Edited, plan_edit
from lora_convert.operations.resizing import Limits, ranks
from lora_convert.planning import Loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_convert.adapter import Adapter
    from lora_convert.operations.editing import Writing
    from lora_convert.operations.reading import Reading
    from lora_convert.operations.writing import ConversionPlan
    from lora_convert.tensors.evaluate import Array
    from lora_convert.tensors.expr import Expr


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

    Ranks, shapes and errors are known from the singular values, which are computed here: from the factors,
    a module at a time. Every module keeps its scale; `alpha` is stored instead where it is given. Raises
    OptionError for limits that cannot be, NotExpressibleError for modules without low-rank factors.
    """
    limits.check()
    if alpha is not None and not (isfinite(alpha) and alpha):
        raise OptionError("alpha", alpha, hint="for example --alpha 8")
    edit = partial(_resized, limits=limits, alpha=alpha)
    return plan_edit([os.fspath(source)], edit, "resized", reading, writing)


def _resized(bench: Bench, *, limits: Limits, alpha: float | None) -> Edited:
    from lora_convert.tensors.cutting import singular_values

    (adapter,) = bench.adapters
    products = [product_of(delta, "resized") for delta in adapter.deltas]
    spectra = [singular_values(product, bench.read) for product in products]
    effective = [
        values * abs(delta.scale.value)
        for values, delta in zip(spectra, adapter.deltas, strict=True)
    ]
    costs = [p.up.shape[0] + p.down.shape[1] * _kernel(p.down) for p in products]

    def made(sizes: Sequence[int]) -> Adapter:
        triples = zip(adapter.deltas, products, sizes, strict=True)
        return adapter._replace(
            deltas=tuple(resized(delta, product, size, alpha) for delta, product, size in triples)
        )

    sizes = ranks(effective, costs, limits, lambda sizes: bench.size_of(made(sizes)))
    found = made(sizes)
    errors = {
        delta.label: _error(values, rank(new.tensors))
        for delta, new, values in zip(adapter.deltas, found.deltas, spectra, strict=True)
    }
    pairs = zip(adapter.deltas, found.deltas, strict=True)
    changed = Counter((rank(old.tensors), rank(new.tensors)) for old, new in pairs if old != new)
    return Edited(
        found,
        losses=_losses(changed),
        notes=_notes(adapter),
        fields={"ranks": ranks_of(found), "errors": errors},
    )


def _kernel(down: Expr) -> int:
    height, width = (*down.shape[2:], 1, 1)[:2]
    return height * width


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
