"""Tensors not yet read, as expressions that know their dtype and shape.

They are built with the constructors of ``tensors.build``, which simplify.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

from lora_convert.tensors.dtypes import common
from lora_convert.tensors.source import Source, Strided

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """Rows ``start`` to ``stop`` (dimension 0)."""

    of: Expr
    start: int
    stop: int

    @property
    def dtype(self) -> str:
        return self.of.dtype

    @property
    def shape(self) -> Shape:
        return (self.stop - self.start, *self.of.shape[1:])


@dataclass(frozen=True)
class Columns:
    """Columns ``start`` to ``stop`` (dimension 1)."""

    of: Expr
    start: int
    stop: int

    @property
    def dtype(self) -> str:
        return self.of.dtype

    @property
    def shape(self) -> Shape:
        return (self.of.shape[0], self.stop - self.start, *self.of.shape[2:])


@dataclass(frozen=True)
class Stack:
    """Parts one above the other (dimension 0), all of one dtype and width."""

    parts: tuple[Expr, ...]

    @property
    def dtype(self) -> str:
        return self.parts[0].dtype

    @property
    def shape(self) -> Shape:
        return (sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:])


@dataclass(frozen=True)
class Padded:
    """A tensor between columns of zeros (dimension 1)."""

    of: Expr
    left: int
    right: int

    @property
    def dtype(self) -> str:
        return self.of.dtype

    @property
    def shape(self) -> Shape:
        rows, columns, *rest = self.of.shape
        return (rows, self.left + columns + self.right, *rest)


@dataclass(frozen=True)
class Zeros:
    """Nothing but zeros."""

    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Times:
    """A tensor times a number, computed in fp32 (fp64 for fp64) and rounded once."""

    of: Expr
    factor: float

    @property
    def dtype(self) -> str:
        return common((self.of.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return self.of.shape


@dataclass(frozen=True)
class Reshaped:
    """The same elements in the same order, in another shape."""

    of: Expr
    shape: Shape

    @property
    def dtype(self) -> str:
        return self.of.dtype


@dataclass(frozen=True)
class Cast:
    """The same values in another dtype, rounded to nearest even."""

    of: Expr
    dtype: str

    @property
    def shape(self) -> Shape:
        return self.of.shape


@dataclass(frozen=True)
class Scalar:
    """One number, known without reading; shape ``()``."""

    value: float
    dtype: str

    @property
    def shape(self) -> Shape:
        return ()


@dataclass(frozen=True)
class Held:
    """A tensor in memory."""

    data: bytes
    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Contracted:
    """A Tucker core applied to its down factor.

    ``mid`` is (r, q, kh, kw) and ``down`` (q, I, 1, 1); the result is the (r, I, kh, kw) down factor
    of the same plain LoRA, computed in fp32 (LyCORIS functional/general.py, tucker weights).
    """

    mid: Expr
    down: Expr

    @property
    def dtype(self) -> str:
        return common((self.mid.dtype, self.down.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return (self.mid.shape[0], self.down.shape[1], *self.mid.shape[2:])


@dataclass(frozen=True)
class Product:
    """``factor · up · down``: the change that a LoRA makes to a weight, in fp32 (fp64 for fp64).

    ``up`` is (O, r) or (O, r, 1, 1), ``down`` (r, I) or (r, I, kh, kw); the result has the weight's shape.
    """

    up: Expr
    down: Expr
    factor: float

    @property
    def dtype(self) -> str:
        return common((self.up.dtype, self.down.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return (self.up.shape[0], *self.down.shape[1:])


@dataclass(frozen=True)
class Sum:
    """Two tensors of one shape, added in fp32 (fp64 for fp64)."""

    first: Expr
    second: Expr

    @property
    def dtype(self) -> str:
        return common((self.first.dtype, self.second.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return self.first.shape


@dataclass(frozen=True)
class Directed:
    """A tensor whose directions are kept and whose norms are replaced: ``m · W / ‖W‖`` (DoRA).

    A magnitude (O) has one element for each row; one of (1, I, …) has one for each column. Norms are
    taken in float64.
    """

    of: Expr
    magnitude: Expr

    @property
    def dtype(self) -> str:
        return common((self.of.dtype, self.magnitude.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return self.of.shape

    @property
    def by_row(self) -> bool:
        """Whether the norms run over rows, so that rows can be computed by themselves."""
        return len(self.magnitude.shape) == 1


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


Expr: TypeAlias = (
    "Source | Rows | Columns | Stack | Padded | Zeros | Times | Reshaped | Cast | Scalar | Held | Strided"
    " | Contracted | Product | Sum | Directed | Cut | Elected | Dropped"
)

Stored: TypeAlias = Source | Strided | Held
"""What a header lists: a tensor where it lies in a file, or a number that stood there as such."""
