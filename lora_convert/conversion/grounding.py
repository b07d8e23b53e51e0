"""What deltas do to one base, as changes of their own: the difference of its weights after and before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.adapter import Scale
from lora_convert.algorithms import ALGORITHMS, factors_of
from lora_convert.errors import BaseMismatchError, NotExpressibleError
from lora_convert.tensors.approximations import Cut, Spanned
from lora_convert.tensors.arithmetic import Product, Sum
from lora_convert.tensors.build import cast, reshaped, times
from lora_convert.tensors.expr import Cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lora_convert.adapter import Delta
    from lora_convert.conversion.merge import Keys
    from lora_convert.tensors.expr import Expr

_ROLES = {"weight": "diff", "bias": "diff_b"}


def needs_base(delta: Delta) -> bool:
    """Whether a delta has no change of its own."""
    algebra = ALGORITHMS[delta.algorithm].algebra
    directed = "magnitude" in delta.tensors or "reshape" in delta.tensors
    own = algebra.change(factors_of(delta)) is not None or "diff_b" in delta.tensors
    return directed or not own


def grounded(
    weights: Mapping[str, Expr],
    deltas: Iterable[Delta],
    keys: Keys,
    *,
    changed_by: str = "",
    where: str = "the base",
) -> tuple[Delta, ...]:
    """`deltas` of which those that need a base are full differences on this one, in fp32.

    `changed_by` is an initialisation that took something out of the base when training began: all LoRAs need
    the base then. BaseMismatchError where a delta finds no weight, NotExpressibleError where the
    initialisation cannot be repeated.
    """
    found, missing = [], []
    for delta in deltas:
        if not changed_by and not needs_base(delta):
            found.append(delta)
            continue
        start = next((start for start in keys(delta) if f"{start}weight" in weights), None)
        if start is None:
            missing.append(delta.label)
            continue
        base = {
            role: cast(weights[f"{start}{role}"], "F64")
            for role in _ROLES
            if f"{start}{role}" in weights
        }
        found.append(_on_base(delta, base, changed_by))
    if missing:
        raise BaseMismatchError(where, missing)
    return tuple(found)


def _on_base(delta: Delta, base: Mapping[str, Expr], changed_by: str) -> Delta:
    algebra = ALGORITHMS[delta.algorithm].algebra
    after = algebra.merged(delta.label, base, factors_of(delta), 1.0)
    tensors = {}
    for role, expr in after.items():
        whole = expr.of if isinstance(expr, Cast) else expr
        if whole.shape != base[role].shape:
            raise NotExpressibleError(
                f"{delta.label}: enlarges its weight to {list(whole.shape)}, which no difference does",
                hint="lora-convert merge puts it into a base",
            )
        change: Expr = Sum(whole, times(base[role], -1.0))
        if role == "weight" and changed_by:
            change = Sum(change, times(_taken_out(delta, base["weight"], changed_by), -1.0))
        tensors[_ROLES[role]] = cast(change, "F32")
    return delta._replace(
        algorithm="full", tensors=tensors, scale=Scale(1.0, 1.0), scale_source="tensor", settings={}
    )


def _taken_out(delta: Delta, weight: Expr, changed_by: str) -> Expr:
    """What an initialisation took out of a weight (peft 0.21, tuners/lora/layer.py).

    PiSSA takes the nearest matrix of the rank, OLoRA the scale times what lies in the span of the first
    columns.
    """
    rank = delta.tensors["down"].shape[0]
    flat = reshaped(weight, (weight.shape[0], -(-_size(weight) // weight.shape[0])))
    kind = changed_by.lower()
    if kind == "pissa":
        up, down = Cut(flat, rank, "up"), Cut(flat, rank, "down")
        return reshaped(Product(up, down, 1.0), weight.shape)
    if kind == "olora":
        return reshaped(times(Spanned(flat, rank), delta.scale.value), weight.shape)
    raise NotExpressibleError(
        f"{delta.label}: what {changed_by} took out of the base cannot be computed again",
        why="it was drawn at random, or depends on the training data",
        hint="load it with PEFT: path_initial_model_for_weight_conversion makes it a LoRA as it is saved",
    )


def _size(expr: Expr) -> int:
    size = 1
    for length in expr.shape:
        size *= length
    return size
