"""Tensors not yet read, as expressions that know their dtype and shape.

They are built with the constructors of ``tensors.build``, which simplify. Those that multiply or add
tensors are in ``tensors.arithmetic``, ``tensors.turning`` and ``tensors.approximations``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lora_convert.tensors.dtypes import common
from lora_convert.tensors.source import Source, Strided

if TYPE_CHECKING:
    from lora_convert.tensors.approximations import Cut, Dropped, Elected, Spanned
    from lora_convert.tensors.arithmetic import (
        Contracted,
        Directed,
        Embedded,
        Gained,
        Hadamard,
        Kronecker,
        Mixed,
        Product,
        Shifted,
        Sum,
        Transposed,
    )
    from lora_convert.tensors.turning import Turned

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


Expr: TypeAlias = (
    "Source | Rows | Columns | Stack | Padded | Zeros | Times | Reshaped | Cast | Scalar | Held | Strided"
    " | Contracted | Product | Sum | Directed | Transposed | Hadamard | Kronecker | Shifted | Gained"
    " | Turned | Embedded | Cut | Mixed | Elected | Dropped | Spanned"
)

Stored: TypeAlias = Source | Strided | Held
"""What a header lists: a tensor where it lies in a file, or a number that stood there as such."""
