"""BOFT of LyCORIS. W' = rescale · R_m · … · R_1 · W: a butterfly of block-diagonal turns of W's rows.

``oft_blocks`` is (m, k, n, n), as in OFT with a stage more, and each stage turns rows that lie
farther apart (LyCORIS modules/boft.py). A stage mixes rows of all blocks, so rows can neither be
parted nor stacked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.algorithms._changing import change, fitted, folded, parts, scaled
from lora_convert.algorithms._rows import check_floats, is_whole
from lora_convert.algorithms.oft import check_rescale, turned_rows
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.turning import Rotation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.algorithms._contract import Factors, Part
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the blocks are no butterfly."""
    check_floats(module, tensors)
    blocks = tensors["oft_blocks"].shape
    if len(blocks) != 4 or blocks[2] != blocks[3] or blocks[2] % 2 or 0 in blocks:
        raise ShapeError(module, f"oft_blocks {list(blocks)} are no stages of even square blocks")
    if blocks[1] % 2 ** (blocks[0] - 1):
        raise ShapeError(module, f"{blocks[1]} blocks are too few for {blocks[0]} stages")
    check_rescale(module, tensors, blocks[1] * blocks[2])


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Outputs; the blocks do not tell the inputs."""
    blocks = tensors["oft_blocks"].shape
    return (blocks[1] * blocks[2], 0)


def canonical(module: str, factors: Factors) -> Factors:
    """As they are."""
    check(module, factors.tensors)
    return factors


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """All rows as they are; NotExpressibleError for any others."""
    if len(ranges) == 1 and is_whole(ranges, shape(factors.tensors)[0]):
        return factors
    raise NotExpressibleError(
        f"{module}: a BOFT cannot be split by rows, nor its rows be reordered",
        why="its stages mix rows of all blocks",
        hint="lora-convert merge puts it into a base, in one file or a component of a pipeline",
    )


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """NotExpressibleError, but for one part alone."""
    if len(parts) == 1 and parts[0].factors:
        return parts[0].factors
    raise NotExpressibleError(
        f"{module}: BOFTs cannot be fused",
        why="the stages of the whole would mix rows that those of the parts do not",
        hint="lora-convert merge puts it into a base, in one file or a component of a pipeline",
    )


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """The turned weight; at another strength than 1, each stage goes part of the way."""
    height = shape(factors.tensors)[0]
    limit = factors.settings.get("constraint", 0.0) * height
    turn = (factors.tensors["oft_blocks"], Rotation("butterfly", limit, strength=strength))
    return turned_rows(module, base, factors.tensors, turn, height)


__all__ = ["change", "fitted", "folded", "parts", "scaled"]
"""Verbs that are the shared ones."""
