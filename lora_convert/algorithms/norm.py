"""Norms.

``w_norm`` and ``b_norm`` are added to a normalisation's weight and bias (LyCORIS
modules/norms.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.algorithms import _adding
from lora_convert.algorithms._rows import check_floats
from lora_convert.algorithms.full import folded, scaled, stack_rows, take_rows
from lora_convert.errors import ShapeError
from lora_convert.tensors.build import times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.algorithms._contract import Factors, Holder
    from lora_convert.tensors.expr import Expr, Shape


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where they are not vectors of one length."""
    check_floats(module, tensors)
    shapes = {tensor.shape for tensor in tensors.values()}
    if len(shapes) != 1 or len(shapes.pop()) != 1:
        listed = ", ".join(f"{role} {list(t.shape)}" for role, t in tensors.items())
        raise ShapeError(module, f"{listed} are not vectors of one length")


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Of the weight."""
    return tensors["w_norm"].shape


def canonical(module: str, factors: Factors) -> Factors:
    """As they are."""
    check(module, factors.tensors)
    return factors


def fitted(module: str, factors: Factors, holder: Holder) -> Factors:
    """As they are."""
    return factors


def change(factors: Factors) -> Expr:
    """What is added to the weight."""
    return factors.tensors["w_norm"]


def parts(factors: Factors) -> dict[str, Expr]:
    """What is added to the weight and to the bias."""
    named = {"change": factors.tensors["w_norm"]}
    bias = factors.tensors.get("b_norm")
    return named if bias is None else {**named, "bias": bias}


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """``weight + w_norm`` and ``bias + b_norm``."""
    tensors = {"diff_b" if role == "b_norm" else role: t for role, t in factors.tensors.items()}
    renamed = factors._replace(tensors=tensors)
    return _adding.merged(module, base, renamed, strength, times(change(factors), strength))


__all__ = [
    "canonical",
    "change",
    "check",
    "fitted",
    "folded",
    "merged",
    "parts",
    "scaled",
    "shape",
    "stack_rows",
    "take_rows",
]
