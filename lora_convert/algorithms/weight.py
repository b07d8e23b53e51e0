"""Replaced weights. ``set_weight`` takes the place of W (ComfyUI comfy/lora.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.algorithms import _adding
from lora_convert.algorithms._changing import change, fitted, folded, parts, scaled
from lora_convert.algorithms._rows import check_floats, stack_in_common, taken
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.arithmetic import Sum
from lora_convert.tensors.build import cast, times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.algorithms._contract import Factors, Part
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError for a weight without elements."""
    check_floats(module, tensors)
    if not tensors["set_weight"].shape or 0 in tensors["set_weight"].shape:
        raise ShapeError(module, f"set_weight {list(tensors['set_weight'].shape)} is no weight")


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Of W."""
    return tensors["set_weight"].shape


def canonical(module: str, factors: Factors) -> Factors:
    """As they are."""
    check(module, factors.tensors)
    return factors


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Its rows."""
    return factors._replace(tensors={"set_weight": taken(factors.tensors["set_weight"], ranges)})


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """Weights one above the other; none may be missing."""
    present = [part.factors for part in parts if part.factors]
    if len(present) != len(parts):
        raise NotExpressibleError(
            f"{module}: only some of its parts are replaced",
            why="the rest is the base weight's own, which is not in this file",
            hint="keep it in a format with Diffusers' names, where parts stay apart",
        )
    whole = stack_in_common([factors.tensors["set_weight"] for factors in present])
    return present[0]._replace(tensors={"set_weight": whole})


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """The new weight; at another strength than 1, part of the way to it."""
    weight, new = base["weight"], factors.tensors["set_weight"]
    if weight.shape != new.shape:
        raise ShapeError(
            module, f"sets a weight of {list(new.shape)}; the base has {list(weight.shape)}"
        )
    old = times(_adding.unrounded(weight), 1.0 - strength)
    total = new if strength == 1.0 else Sum(old, times(new, strength))
    return {"weight": cast(total, weight.dtype)}


__all__ = ["change", "fitted", "folded", "parts", "scaled"]
"""Verbs that are the shared ones."""
