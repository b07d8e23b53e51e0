"""OFT of PEFT. W' = W · Rᵀ, with R block-diagonal and orthogonal.

``oft_R`` is (k, n·(n−1)/2): the upper triangles of skew-symmetric blocks, of which R is made by
Cayley's transform or a few terms of its series (peft 0.21, tuners/oft/layer.py). The configuration
says which: setting ``neumann`` is the number of terms, 0 for exact; ``limit`` the largest norm
(COFT's eps); ``shared`` that one block is for all. Inputs and kernel of a convolution are one
number.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from lora_convert.algorithms import _adding
from lora_convert.algorithms._changing import change, fitted, folded, parts, scaled
from lora_convert.algorithms._columns import check_columns, shared
from lora_convert.algorithms._rows import check_floats, check_matrices
from lora_convert.errors import ShapeError
from lora_convert.tensors.build import cast
from lora_convert.tensors.turning import Rotation, Turned, block_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.algorithms._contract import Factors, Part
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the vectors are no triangles."""
    check_floats(module, tensors)
    check_matrices(module, tensors, "oft_R")
    try:
        block_size(tensors["oft_R"].shape[1])
    except ShapeError as error:
        raise ShapeError(module, error.what.removeprefix("oft_R: ")) from None


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Nothing: it is the same for any number of rows, and a shared block for any of columns."""
    return (0, 0)


def canonical(module: str, factors: Factors) -> Factors:
    """As they are."""
    check(module, factors.tensors)
    return factors


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """The same for all rows."""
    return factors


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """The same, where all parts have the same."""
    return shared(module, parts, "oft_R", facts)


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """The turned weight; at another strength than 1, part of the way to it."""
    weight, turns, settings = base["weight"], factors.tensors["oft_R"], factors.settings
    size, count = block_size(turns.shape[1]), turns.shape[0]
    alone = bool(settings.get("shared"))
    check_columns(module, weight, size if alone else size * count)
    if not alone and prod(weight.shape[1:]) != size * count:
        raise ShapeError(module, f"turns {size * count} columns; the base has {list(weight.shape)}")
    rotation = Rotation(
        "vectors", settings.get("limit", 0.0), int(settings.get("neumann", 0)), strength
    )
    return {
        "weight": cast(Turned(_adding.unrounded(weight), turns, rotation), weight.dtype),
    }


__all__ = ["change", "fitted", "folded", "parts", "scaled"]
"""Verbs that are the shared ones."""
