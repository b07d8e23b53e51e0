"""OFT of kohya and LyCORIS. W' = rescale · Rᵀ · W, with R block-diagonal and orthogonal.

``oft_blocks`` (k, n, n) makes R by Cayley's transform, under a constraint that is ``.alpha`` times
the outputs (sd-scripts networks/oft.py, LyCORIS modules/diag_oft.py); 0 is none. LyCORIS before 2.0
kept R itself as ``oft_diag``. ``rescale`` is (O, 1, …). There is no change that could be added
without the base weight.

Rows can be parted and stacked where that parts no block. The constraint is one for all blocks, so
with one it cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.algorithms import _adding
from lora_convert.algorithms._changing import change, fitted, folded, parts, scaled
from lora_convert.algorithms._rows import check_floats, is_whole, stack_in_common, taken
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.arithmetic import Gained, Shifted
from lora_convert.tensors.build import cast, reshaped, shifted, times
from lora_convert.tensors.expr import Zeros
from lora_convert.tensors.turning import Rotation, Turned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.algorithms._contract import Factors, Part
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape
    from lora_convert.tensors.turning import RotationKind

_MERGE = "lora-convert merge puts it into a base, in one file or a component of a pipeline"


def _blocks(tensors: Mapping[str, Expr]) -> str:
    return "oft_blocks" if "oft_blocks" in tensors else "oft_diag"


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the blocks are not square, or do not fit together."""
    check_floats(module, tensors)
    role = _blocks(tensors)
    blocks = tensors[role].shape
    if len(blocks) != 3 or blocks[1] != blocks[2] or 0 in blocks:
        raise ShapeError(module, f"{role} {list(blocks)} are no square blocks")
    check_rescale(module, tensors, blocks[0] * blocks[1])


def check_rescale(module: str, tensors: Mapping[str, Expr], height: int) -> None:
    """Raise ShapeError where the factors of rows are not as many as the rows."""
    rescale = tensors.get("rescale")
    if rescale is None:
        return
    ones = all(length == 1 for length in rescale.shape[1:])
    if not rescale.shape or rescale.shape[0] != height or not ones:
        raise ShapeError(module, f"rescale {list(rescale.shape)} does not fit {height} outputs")


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Outputs; the blocks do not tell the inputs."""
    blocks = tensors[_blocks(tensors)].shape
    return (blocks[0] * blocks[1], 0)


def canonical(module: str, factors: Factors) -> Factors:
    """As they are."""
    check(module, factors.tensors)
    return factors


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Whole blocks."""
    tensors = factors.tensors
    role = _blocks(tensors)
    size = tensors[role].shape[1]
    if any(start % size or stop % size for start, stop in ranges):
        raise NotExpressibleError(
            f"{module}: an OFT whose blocks have {size} rows cannot be split inside one",
            why="a block mixes all its rows",
            hint=_MERGE,
        )
    if factors.settings.get("constraint") and not is_whole(ranges, shape(tensors)[0]):
        raise _constrained(module)
    found = {
        **tensors,
        role: taken(tensors[role], [(start // size, stop // size) for start, stop in ranges]),
    }
    if "rescale" in tensors:
        found["rescale"] = taken(tensors["rescale"], ranges)
    return factors._replace(tensors=found)


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """Blocks one above the other; rows that are not adapted have blocks of zeros."""
    present = [part.factors for part in parts if part.factors]
    roles = {_blocks(factors.tensors) for factors in present}
    if any(factors.settings.get("constraint") for factors in present) and len(parts) > 1:
        raise _constrained(module)
    role = roles.pop()
    size = present[0].tensors[role].shape[1]
    alike = not roles and all(f.tensors[role].shape[1] == size for f in present)
    unadapted = any(part.factors is None for part in parts)
    if not alike or any(part.height % size for part in parts) or (unadapted and role == "oft_diag"):
        raise NotExpressibleError(
            f"{module}: its parts have blocks of other sizes, which no OFT holds together",
            why="all blocks of a module have one size",
            hint=_MERGE,
        )
    blocks = [
        part.factors.tensors[role]
        if part.factors
        else Zeros("F16", (part.height // size, size, size))
        for part in parts
    ]
    stacked = {role: stack_in_common(blocks)}
    if any("rescale" in factors.tensors for factors in present):
        stacked["rescale"] = _stacked_rescale(parts, present)
    return present[0]._replace(tensors=stacked)


def _stacked_rescale(parts: Sequence[Part], present: Sequence[Factors]) -> Expr:
    given = [f.tensors["rescale"] for f in present if "rescale" in f.tensors]
    tail = given[0].shape[1:]
    pieces = []
    for part in parts:
        found = part.factors.tensors.get("rescale") if part.factors else None
        ones = Shifted(Zeros("F32", (part.height, *tail)), 1.0)
        pieces.append(ones if found is None else reshaped(found, (part.height, *tail)))
    return stack_in_common(pieces)


def _constrained(module: str) -> NotExpressibleError:
    return NotExpressibleError(
        f"{module}: an OFT with a constraint cannot be split or fused",
        why="the constraint is on the norm of all its blocks together",
        hint=_MERGE,
    )


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """The turned weight; at another strength than 1, part of the way to it."""
    kind: RotationKind = "blocks" if "oft_blocks" in factors.tensors else "diag"
    turns = factors.tensors[_blocks(factors.tensors)]
    height = shape(factors.tensors)[0]
    rotation = Rotation(kind, factors.settings.get("constraint", 0.0) * height, strength=strength)
    return turned_rows(module, base, factors.tensors, (turns, rotation), height)


def turned_rows(
    module: str,
    base: Mapping[str, Expr],
    tensors: Mapping[str, Expr],
    turn: tuple[Expr, Rotation],
    height: int,
) -> dict[str, Expr]:
    """A weight of `height` rows that are turned, then rescaled."""
    weight = base["weight"]
    wanted = (height, *weight.shape[1:])
    _adding.check_fits(module, weight, wanted, "turns")
    result: Expr = Turned(_adding.unrounded(weight), *turn)
    if "rescale" in tensors:
        gains = reshaped(tensors["rescale"], (height,))
        result = Gained(result, weakened(gains, turn[1].strength))
    return {"weight": cast(result, weight.dtype)}


def weakened(gains: Expr, strength: float) -> Expr:
    """Factors part of the way from 1."""
    if strength == 1.0:
        return gains
    return shifted(times(shifted(gains, -1.0), strength), 1.0)


__all__ = ["change", "fitted", "folded", "parts", "scaled"]
"""Verbs that are the shared ones."""
