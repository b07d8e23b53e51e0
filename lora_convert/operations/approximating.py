"""Deltas of a lower rank: factors of the nearest matrix, and how near that is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lora_convert.adapter import Scale
from lora_convert.algorithms import Factors
from lora_convert.algorithms.lora import rank, without_mid
from lora_convert.errors import NotExpressibleError
from lora_convert.tensors.approximations import Cut
from lora_convert.tensors.arithmetic import Product
from lora_convert.tensors.build import cast, reshaped, times
from lora_convert.tensors.dtypes import common
from lora_convert.tensors.expr import Cast, Reshaped

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter, Delta
    from lora_convert.tensors.evaluate import Read
    from lora_convert.tensors.expr import Expr


def product_of(delta: Delta, doing: str) -> Product:
    """A delta's ``up · down`` without its scale; a Tucker core is contracted into ``down``.

    NotExpressibleError, which says what was being done, where the algorithm has no such factors.
    """
    if not {"up", "down"} <= delta.tensors.keys():
        raise NotExpressibleError(
            f"{delta.label}: {delta.algorithm} has no low-rank factors, and cannot be {doing}",
            hint="only LoRA and DoRA can",
        )
    tensors = without_mid(Factors(delta.tensors, delta.scale)).tensors
    return Product(tensors["up"], tensors["down"], 1.0)


def ranks_of(adapter: Adapter) -> dict[str, int]:
    """Number of modules by rank, for JSON."""
    counts = Counter(rank(delta.tensors) for delta in adapter.deltas)
    return {str(size): counts[size] for size in sorted(counts)}


def resized(delta: Delta, product: Product, size: int, alpha: float | None = None) -> Delta:
    """A delta of a rank, nearest to ``scale · product``; the same one where it has no more already."""
    if alpha is None and size >= rank(delta.tensors):
        return delta
    scale = Scale(delta.scale.alpha_at(size), size) if alpha is None else Scale(alpha, size)
    # where the scale stays, factors do not depend on it
    times_ = 1.0 if alpha is None else delta.scale.value / scale.value
    beside = {
        role: cast(times(tensor, times_), tensor.dtype) if role == "bias" else tensor
        for role, tensor in delta.tensors.items()
        if role not in {"up", "down", "mid"}
    }
    of = Product(product.up, product.down, product.factor * times_)
    dtype = common(delta.tensors[role].dtype for role in ("up", "down"))
    return delta._replace(tensors={**cut(of, size, dtype), **beside}, scale=scale)


def cut(of: Expr, size: int, dtype: str, seed: int | None = None) -> dict[str, Expr]:
    """The factors of the matrix of a rank that is nearest to a ΔW, in the shapes that LoRA has."""
    kernel = of.shape[2:]
    up = reshaped(Cut(of, size, "up", seed), (of.shape[0], size, *(1,) * len(kernel)))
    down = reshaped(Cut(of, size, "down", seed), (size, of.shape[1], *kernel))
    return {"down": cast(down, dtype), "up": cast(up, dtype)}


def lost(adapter: Adapter, read: Read) -> dict[str, dict[str, float]]:
    """How much of each ΔW that was cut is lost, for JSON; what has been written is not computed again."""
    from lora_convert.tensors.cutting import remainder

    cuts = {delta.label: _cut_in(delta.tensors["up"]) for delta in adapter.deltas}
    return {"errors": {label: remainder(found, read) for label, found in cuts.items() if found}}


def _cut_in(up: Expr) -> Cut | None:
    match up:
        case Cut():
            return up
        case Cast(inner, _) | Reshaped(inner, _):
            return _cut_in(inner)
        case _:
            return None
