"""Expressions of what comes near to whole ΔWs: of a rank, thinned out, or one for several."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from lora_convert.tensors.dtypes import common

if TYPE_CHECKING:
    from lora_convert.tensors.expr import Expr, Shape


@dataclass(frozen=True)
class Cut:
    """One factor of the low-rank matrix that is nearest to another: ``up · down`` of a rank.

    The matrix is given as (O, …) and taken as (O, I·kh·kw); ``up`` is (O, rank), ``down`` (rank, I·kh·kw).
    """

    of: Expr
    rank: int
    side: Literal["up", "down"]
    seed: int | None = None
    """Of a decomposition that only samples the matrix; None for an exact one."""

    @property
    def dtype(self) -> str:
        return common((self.of.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        if self.side == "up":
            return (self.of.shape[0], self.rank)
        return (self.rank, prod(self.of.shape[1:]))


@dataclass(frozen=True)
class Elected:
    """The mean of those elements of several ΔWs that have the elected sign (TIES)."""

    parts: tuple[Expr, ...]
    density: float
    """Share of each ΔW's elements, the largest, that is kept."""

    @property
    def dtype(self) -> str:
        return "F64"

    @property
    def shape(self) -> Shape:
        return self.parts[0].shape


@dataclass(frozen=True)
class Dropped:
    """A ΔW of which a share of the elements is kept at random, divided by that share (DARE)."""

    of: Expr
    density: float
    seed: tuple[int, ...]

    @property
    def dtype(self) -> str:
        return "F64"

    @property
    def shape(self) -> Shape:
        return self.of.shape


@dataclass(frozen=True)
class Spanned:
    """What of a matrix lies in the span of its first columns, in float64: ``Q · Qᵀ · W``."""

    of: Expr
    columns: int

    @property
    def dtype(self) -> str:
        return "F64"

    @property
    def shape(self) -> Shape:
        return self.of.shape
