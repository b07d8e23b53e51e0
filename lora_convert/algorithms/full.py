"""Full differences.

ΔW is there itself, as ``diff``, with ``diff_b`` for the bias (LyCORIS
modules/full.py).

There may be a bias alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.algorithms import _adding
from lora_convert.algorithms._rows import (
    check_beside,
    check_floats,
    stack_in_common,
    taken,
)
from lora_convert.errors import ShapeError
from lora_convert.tensors.build import times
from lora_convert.tensors.expr import Zeros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.algorithms._contract import Factors, Holder, Part
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError for a difference without elements, or a bias that does not fit."""
    check_floats(module, tensors)
    for role, tensor in tensors.items():
        if not tensor.shape or 0 in tensor.shape:
            raise ShapeError(module, f"{role} {list(tensor.shape)} is no weight")
    check_beside(module, tensors, shape(tensors))


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Of ΔW; a normalisation's has one dimension."""
    return tensors["diff" if "diff" in tensors else "diff_b"].shape


def canonical(module: str, factors: Factors) -> Factors:
    """As they are."""
    check(module, factors.tensors)
    return factors


def fitted(module: str, factors: Factors, holder: Holder) -> Factors:
    """As they are."""
    return factors


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Its rows."""
    return factors._replace(tensors={r: taken(t, ranges) for r, t in factors.tensors.items()})


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """Differences one above the other, zeros for rows that are not adapted."""
    present = [part.factors for part in parts if part.factors]
    stacked: dict[str, Expr] = {}
    for role in dict.fromkeys(role for factors in present for role in factors.tensors):
        found = [part.factors.tensors.get(role) if part.factors else None for part in parts]
        tail = next(tensor.shape[1:] for tensor in found if tensor is not None)
        pieces = [
            Zeros("F16", (part.height, *tail)) if tensor is None else tensor
            for part, tensor in zip(parts, found, strict=True)
        ]
        stacked[role] = stack_in_common(pieces)
    return present[0]._replace(tensors=stacked)


def change(factors: Factors) -> Expr | None:
    """ΔW; None where there is a bias alone."""
    return factors.tensors.get("diff")


def parts(factors: Factors) -> dict[str, Expr]:
    """The change, and what lies beside it."""
    return _adding.parts(factors, change(factors))


def scaled(factors: Factors, by: float) -> Factors | None:
    """All that is added, multiplied."""
    found = {role: _adding.multiplied(tensor, by) for role, tensor in factors.tensors.items()}
    return factors._replace(tensors=found)


def folded(factors: Factors) -> Factors:
    """As they are: there is no scale."""
    return factors


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """``weight + diff`` and ``bias + diff_b``."""
    diff = change(factors)
    added = Zeros("F32", base["weight"].shape) if diff is None else times(diff, strength)
    found = _adding.merged(module, base, factors, strength, added)
    return found if diff is not None else {"bias": found["bias"]}
