"""Another algorithm for the same changes: the nearest LoRA of a rank, or the changes themselves."""

from __future__ import annotations

from math import isqrt, prod
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from lora_convert.adapter import Scale
from lora_convert.algorithms import ALGORITHMS, factors_of
from lora_convert.architectures import find
from lora_convert.errors import NotExpressibleError
from lora_convert.planning import Loss, LossKind
from lora_convert.tensors.approximations import Cut
from lora_convert.tensors.arithmetic import Hadamard, Kronecker, Product
from lora_convert.tensors.build import cast, reshaped
from lora_convert.tensors.dtypes import FLOATS, common
from lora_convert.tensors.expr import Cast, Reshaped, Times, Zeros

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter, Delta
    from lora_convert.architectures import Architecture
    from lora_convert.tensors.expr import Expr, Shape

Recast: TypeAlias = Literal["lora", "full"]

CUT: LossKind = "rank lowered"

ON_A_BASE = (
    "lora-convert convert FILE --as lora --rank R --base BASE makes a LoRA of it;"
    " lora-convert merge puts it into a base"
)
"""What can be done with what takes the base weight."""

_KEPT = {"lora": ("lora", "dora"), "full": ("full", "norm")}
"""Algorithms that are what is wanted already."""


class Recasting(NamedTuple):
    """The algorithm that changes are written in."""

    to: Recast
    rank: int
    """Of a LoRA, at most."""


def recast_all(
    adapter: Adapter, recasting: Recasting, architecture: Architecture | None
) -> tuple[Adapter, list[Loss]]:
    """`adapter` with every change as a LoRA of at most a rank, or as itself, and what that loses.

    NotExpressibleError for what has no change without the base weight.
    """
    to, rank = recasting
    deltas = tuple(
        delta
        if delta.algorithm in _KEPT[to]
        else _low_rank(delta, rank, architecture)
        if to == "lora"
        else _whole(delta, architecture)
        for delta in adapter.deltas
    )
    cut = sum(
        new.algorithm != old.algorithm and to == "lora" and rank < bound(change_of(old))
        for old, new in zip(adapter.deltas, deltas, strict=True)
    )
    losses = [Loss(CUT, f"{cut} modules cut to rank {rank}", cut)] if cut else []
    return adapter._replace(deltas=deltas), losses


def change_of(delta: Delta) -> Expr:
    """ΔW, from factors in float64."""
    algebra = ALGORITHMS[delta.algorithm].algebra
    wide = {role: cast(t, "F64") for role, t in delta.tensors.items() if t.dtype in FLOATS}
    change = algebra.change(factors_of(delta)._replace(tensors=wide))
    if change is None:
        raise NotExpressibleError(
            f"{delta.label}: {ALGORITHMS[delta.algorithm].short} has no change of its own",
            why="it multiplies the base weight, and each base gives another change",
            hint=ON_A_BASE,
        )
    return change


def addend(delta: Delta) -> Expr:
    """ΔW of a delta that is nothing else, from factors in float64: what can be added to other ΔWs.

    NotExpressibleError where the base weight decides what is added.
    """
    if "magnitude" in delta.tensors or "reshape" in delta.tensors:
        what = "enlarges its weight" if "reshape" in delta.tensors else "is a DoRA"
        raise NotExpressibleError(
            f"{delta.label}: {what}, and has no change that could be added to others",
            why="what it adds depends on the base weight",
            hint=ON_A_BASE,
        )
    if delta.tensors.keys() == {"diff_b"}:
        return Zeros("F64", delta.tensors["diff_b"].shape)
    return change_of(delta)


def bound(expr: Expr) -> int:
    """The largest rank that an expression can have, from its shapes."""
    match expr:
        case Times(of, _) | Cast(of, _) | Reshaped(of, _):
            inner = bound(of)
        case Product(up, _, _):
            inner = up.shape[1]
        case Hadamard(one, other) | Kronecker(one, other):
            inner = bound(one) * bound(other)
        case _:
            inner = expr.shape[0]
    return min(inner, expr.shape[0], prod(expr.shape[1:]))


def _low_rank(delta: Delta, rank: int, architecture: Architecture | None) -> Delta:
    change = change_of(delta)
    if len(change.shape) < 2:
        raise NotExpressibleError(
            f"{delta.label}: a change of {list(change.shape)} is no matrix, and has no rank",
            hint="--to kohya can hold it as it is",
        )
    dtype, shape = _dtype(delta), whole_shape(delta, change, architecture)
    small = min(rank, bound(change))
    up, down = (cast(Cut(change, small, side), dtype) for side in ("up", "down"))
    tensors = {
        "down": reshaped(down, (small, *shape[1:])),
        "up": reshaped(up, (shape[0], small, *(1,) * (len(shape) - 2))),
        **{r: t for r, t in delta.tensors.items() if r in {"magnitude", "diff_b"}},
    }
    algorithm = "dora" if "magnitude" in tensors else "lora"
    return delta._replace(
        algorithm=algorithm, tensors=tensors, scale=Scale(small, small), settings={}
    )


def _whole(delta: Delta, architecture: Architecture | None) -> Delta:
    if "magnitude" in delta.tensors:
        raise NotExpressibleError(
            f"{delta.label}: a DoRA has no change of its own",
            why="its magnitude is that of the changed base weight",
            hint=ON_A_BASE,
        )
    change, dtype = change_of(delta), _dtype(delta)
    parts = ALGORITHMS[delta.algorithm].algebra.parts(factors_of(delta))
    tensors = {"diff": cast(reshaped(change, whole_shape(delta, change, architecture)), dtype)}
    if "bias" in parts:
        tensors["diff_b"] = cast(parts["bias"], dtype)
    return delta._replace(
        algorithm="full", tensors=tensors, scale=Scale(1.0, 1.0), scale_source="tensor", settings={}
    )


def _dtype(delta: Delta) -> str:
    return common(t.dtype for t in delta.tensors.values() if t.dtype in FLOATS)


def whole_shape(delta: Delta, change: Expr, architecture: Architecture | None) -> Shape:
    """ΔW's shape, with inputs and kernel of a convolution apart.

    Where factors hold them as one number, a multiple of nine is a 3×3 kernel: the pointwise convolutions of
    all known models have widths that are none.
    """
    shape = ALGORITHMS[delta.algorithm].algebra.shape(delta.tensors)
    entry, _ = find(architecture, delta.module, delta.component)
    if entry is None or entry.row.kind != "conv" or len(shape) != 2:
        return shape
    kernel = 9 if shape[1] % 9 == 0 else 1
    return (shape[0], shape[1] // kernel, isqrt(kernel), isqrt(kernel))
