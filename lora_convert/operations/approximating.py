"""Deltas of a lower rank: factors of the nearest matrix, and how near that is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.adapter import Scale
from lora_convert.algorithms import ALGORITHMS, factors_of
from lora_convert.algorithms.lora import without_mid
from lora_convert.conversion.recast import bound, change_of, whole_shape
from lora_convert.tensors.approximations import Cut
from lora_convert.tensors.arithmetic import Product
from lora_convert.tensors.build import cast, reshaped, times
from lora_convert.tensors.dtypes import common
from lora_convert.tensors.expr import Cast, Reshaped

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter, Delta
    from lora_convert.architectures import Architecture
    from lora_convert.tensors.evaluate import Read
    from lora_convert.tensors.expr import Expr

_BESIDE = ("bias", "diff_b", "magnitude")
"""Roles that stay beside other factors."""


class Change(NamedTuple):
    """What a delta adds, as an expression: of a DoRA, before the rescaling."""

    of: Expr
    """A matrix, or one with a kernel; a LoRA's ``up · down`` without its scale."""
    strength: float
    """How many times it is added."""

    @property
    def rank(self) -> int:
        """The largest that it can have."""
        return self.of.up.shape[1] if isinstance(self.of, Product) else bound(self.of)


def change_in(delta: Delta) -> Change | None:
    """A delta's change; None where it has no rank: of biases and norms.

    NotExpressibleError where there is none without the base weight.
    """
    if {"up", "down"} <= delta.tensors.keys():
        tensors = without_mid(factors_of(delta)).tensors
        return Change(Product(tensors["up"], tensors["down"], 1.0), delta.scale.value)
    if delta.tensors.keys() == {"diff_b"}:
        return None
    found = change_of(delta)
    return Change(found, 1.0) if len(found.shape) > 1 else None


def ranks_of(adapter: Adapter) -> dict[str, int]:
    """Number of modules by rank, for JSON; of those that have one."""
    ranks = (ALGORITHMS[delta.algorithm].rank(delta.tensors) for delta in adapter.deltas)
    counts = Counter(rank for rank in ranks if rank)
    return {str(size): counts[size] for size in sorted(counts)}


def resized(
    delta: Delta,
    change: Change,
    size: int,
    architecture: Architecture | None,
    alpha: float | None = None,
) -> Delta:
    """A LoRA of a rank, nearest to a delta's change; the same one where it has no more already."""
    is_lora = isinstance(change.of, Product)
    if alpha is None and is_lora and size >= change.rank:
        return delta
    scale = Scale(size, size) if alpha is None else Scale(alpha, size)
    if alpha is None and is_lora:
        scale = Scale(delta.scale.alpha_at(size), size)
    # where the scale stays, factors do not depend on it
    exactly = change.strength / scale.value if scale.value != change.strength else 1.0
    beside = {
        role: cast(times(t, delta.scale.value / scale.value), t.dtype) if role == "bias" else t
        for role, t in delta.tensors.items()
        if role in _BESIDE
    }
    of, shape = change.of, whole_shape(delta, change.of, architecture)
    if isinstance(of, Product):
        of = Product(of.up, of.down, of.factor * exactly)
    else:
        of = reshaped(times(of, exactly), shape)
    dtype = common(tensor.dtype for role, tensor in delta.tensors.items() if role not in _BESIDE)
    return delta._replace(
        algorithm="dora" if "magnitude" in beside else "lora",
        tensors={**cut(of, size, dtype), **beside},
        scale=scale,
        settings={},
    )


def cut(of: Expr, size: int, dtype: str, seed: int | None = None) -> dict[str, Expr]:
    """The factors of the matrix of a rank that is nearest to a ΔW, in the shapes that LoRA has."""
    kernel = of.shape[2:]
    up = reshaped(Cut(of, size, "up", seed), (of.shape[0], size, *(1,) * len(kernel)))
    down = reshaped(Cut(of, size, "down", seed), (size, of.shape[1], *kernel))
    return {"down": cast(down, dtype), "up": cast(up, dtype)}


def errors_of(adapter: Adapter, read: Read) -> dict[str, float]:
    """‖ΔW − kept‖ / ‖ΔW‖ of each module that was cut; what has been written is not computed again."""
    from lora_convert.tensors.cutting import remainder

    ups = {delta.label: delta.tensors.get("up") for delta in adapter.deltas}
    cuts = {label: _cut_in(up) for label, up in ups.items() if up is not None}
    return {label: remainder(found, read) for label, found in cuts.items() if found}


def measured_errors(adapter: Adapter, read: Read) -> dict[str, dict[str, float]]:
    """The same for JSON."""
    return {"errors": errors_of(adapter, read)}


def _cut_in(up: Expr) -> Cut | None:
    match up:
        case Cut():
            return up
        case Cast(inner, _) | Reshaped(inner, _):
            return _cut_in(inner)
        case _:
            return None
