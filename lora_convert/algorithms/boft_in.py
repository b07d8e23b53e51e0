"""BOFT of PEFT. W' = s · W · (R_m · … · R_1)ᵀ: a butterfly of block-diagonal turns of W's columns.

``boft_R`` is (m, k, n, n), made skew-symmetric and then a turn by Cayley's transform, ``boft_s``
(O, 1) multiplies rows (peft 0.21, tuners/boft/layer.py). Inputs and kernel of a convolution are one
number.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from lora_convert.algorithms import _adding
from lora_convert.algorithms._changing import change, folded, parts, scaled
from lora_convert.algorithms._columns import shared
from lora_convert.algorithms._rows import check_floats, stack_in_common, taken
from lora_convert.algorithms.oft import weakened
from lora_convert.errors import ShapeError
from lora_convert.tensors.arithmetic import Gained
from lora_convert.tensors.build import cast, reshaped
from lora_convert.tensors.turning import Rotation, Turned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.algorithms._contract import Factors, Holder, Part
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the blocks are no butterfly."""
    check_floats(module, tensors)
    turns, gains = tensors["boft_R"].shape, tensors["boft_s"].shape
    if len(turns) != 4 or turns[2] != turns[3] or 0 in turns:
        raise ShapeError(module, f"boft_R {list(turns)} are no stages of square blocks")
    if turns[0] > 1 and (turns[2] % 2 or turns[1] % 2 ** (turns[0] - 1)):
        raise ShapeError(module, f"boft_R {list(turns)} are too few blocks for so many stages")
    if len(gains) not in {2, 4} or any(length != 1 for length in gains[1:]):
        raise ShapeError(module, f"boft_s {list(gains)} is no column")


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Outputs and columns."""
    turns = tensors["boft_R"].shape
    return (tensors["boft_s"].shape[0], turns[1] * turns[2])


def canonical(module: str, factors: Factors) -> Factors:
    """Factors of rows as (O, 1), those of convolutions, which are (1, O) in files, as (O, 1, 1, 1)."""
    gains = factors.tensors["boft_s"]
    conv = len(gains.shape) == 2 and gains.shape[0] == 1 != gains.shape[1]
    column = reshaped(gains, (gains.shape[1], 1, 1, 1)) if conv else gains
    found = factors._replace(tensors={**factors.tensors, "boft_s": column})
    check(module, found.tensors)
    return found


def fitted(module: str, factors: Factors, holder: Holder) -> Factors:
    """Factors of rows in the shape that PEFT gives them."""
    gains = factors.tensors["boft_s"]
    conv = holder.kind == "conv" or (not holder.kind and len(gains.shape) == 4)
    shape = (1, gains.shape[0]) if conv else (gains.shape[0], 1)
    return factors._replace(tensors={**factors.tensors, "boft_s": reshaped(gains, shape)})


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """The same turns, and the factors of those rows."""
    gains = taken(factors.tensors["boft_s"], ranges)
    return factors._replace(tensors={**factors.tensors, "boft_s": gains})


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """The same turns, where all parts have the same, and the factors of all rows."""
    first = shared(module, parts, "boft_R", facts)
    gains = [part.factors.tensors["boft_s"] for part in parts if part.factors]
    return first._replace(tensors={**first.tensors, "boft_s": stack_in_common(gains)})


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """The turned weight; at another strength than 1, each stage goes part of the way."""
    weight, tensors = base["weight"], factors.tensors
    height, columns = shape(tensors)
    if weight.shape[:1] != (height,) or prod(weight.shape[1:]) != columns:
        raise ShapeError(
            module,
            f"turns a weight of {[height, columns]}; the base has {weight.dtype} {list(weight.shape)}",
        )
    rotation = Rotation("butterfly_in", strength=strength)
    result = Turned(_adding.unrounded(weight), tensors["boft_R"], rotation)
    gains = weakened(reshaped(tensors["boft_s"], (height,)), strength)
    return {"weight": cast(Gained(result, gains), weight.dtype)}


__all__ = ["change", "folded", "parts", "scaled"]
"""Verbs that are the shared ones."""
