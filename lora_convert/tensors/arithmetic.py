"""Expressions that multiply and add tensors: computed in fp32, in fp64 where a factor is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_convert.tensors.dtypes import common

if TYPE_CHECKING:
    from lora_convert.tensors.expr import Expr, Shape


@dataclass(frozen=True)
class _Pair:
    """Two tensors of one shape."""

    first: Expr
    second: Expr

    @property
    def dtype(self) -> str:
        return common((self.first.dtype, self.second.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return self.first.shape


class Sum(_Pair):
    """Two tensors of one shape, added in fp32 (fp64 for fp64)."""


class Hadamard(_Pair):
    """Two tensors of one shape, multiplied element by element in fp32 (fp64 for fp64)."""


@dataclass(frozen=True)
class _Lined:
    """A tensor and a vector: (O) has one element for each row, (1, I, …) one for each column."""

    of: Expr
    by: Expr

    @property
    def dtype(self) -> str:
        return common((self.of.dtype, self.by.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return self.of.shape

    @property
    def by_row(self) -> bool:
        """Whether rows can be computed by themselves."""
        return len(self.by.shape) == 1


class Gained(_Lined):
    """A tensor whose rows, or columns, are multiplied by a factor each, in fp32 (fp64 for fp64)."""


class Directed(_Lined):
    """A tensor whose directions are kept and whose norms are replaced: ``m · W / ‖W‖`` (DoRA).

    Norms of rows, or of columns, are taken in float64.
    """


@dataclass(frozen=True)
class Shifted:
    """A tensor and a number added to each element, in fp32 (fp64 for fp64)."""

    of: Expr
    by: float

    @property
    def dtype(self) -> str:
        return common((self.of.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return self.of.shape


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
class Mixed:
    """A weight whose inputs are multiplied by a matrix, alike for every element of its kernel.

    ``of`` is (O, I, …) and ``matrix`` (I, J); the result is (O, J, …).
    """

    of: Expr
    matrix: Expr

    @property
    def dtype(self) -> str:
        return common((self.of.dtype, self.matrix.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return (self.of.shape[0], self.matrix.shape[1], *self.of.shape[2:])


@dataclass(frozen=True)
class Kronecker:
    """Every element of one matrix times the whole of another, in fp32 (fp64 for fp64)."""

    outer: Expr
    inner: Expr

    @property
    def dtype(self) -> str:
        return common((self.outer.dtype, self.inner.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        (a, c), (b, d) = self.outer.shape, self.inner.shape
        return (a * b, c * d)


@dataclass(frozen=True)
class Transposed:
    """A matrix with rows and columns changed."""

    of: Expr

    @property
    def dtype(self) -> str:
        return self.of.dtype

    @property
    def shape(self) -> Shape:
        return (self.of.shape[1], self.of.shape[0])


@dataclass(frozen=True)
class Embedded:
    """A tensor in the corner of a larger one of zeros."""

    of: Expr
    shape: Shape

    @property
    def dtype(self) -> str:
        return self.of.dtype
