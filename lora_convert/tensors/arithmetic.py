"""Expressions that multiply and add tensors: computed in fp32, in fp64 where a factor is."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from lora_convert.errors import ShapeError
from lora_convert.tensors.dtypes import common

if TYPE_CHECKING:
    from lora_convert.tensors.expr import Expr, Shape


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
class Hadamard:
    """Two tensors of one shape, multiplied element by element in fp32 (fp64 for fp64)."""

    first: Expr
    second: Expr

    @property
    def dtype(self) -> str:
        return common((self.first.dtype, self.second.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return self.first.shape


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
class Gained:
    """A tensor whose rows, or columns, are multiplied by a factor each, in fp32 (fp64 for fp64).

    Gains (O) have one element for each row; those of (1, I, …) one for each column.
    """

    of: Expr
    gains: Expr

    @property
    def dtype(self) -> str:
        return common((self.of.dtype, self.gains.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return self.of.shape

    @property
    def by_row(self) -> bool:
        """Whether each row has a factor."""
        return len(self.gains.shape) == 1


RotationKind: TypeAlias = Literal["blocks", "diag", "butterfly", "vectors", "butterfly_in"]


class Rotation(NamedTuple):
    """How parameters make an orthogonal matrix, and which side of W it turns.

    ``blocks``, ``diag`` and ``butterfly`` turn rows, as kohya and LyCORIS do; ``vectors`` and
    ``butterfly_in`` turn columns, as PEFT does. ``tensors.rotations`` says how.
    """

    kind: RotationKind
    limit: float = 0.0
    """Largest norm of the skew-symmetric parameters; 0 where there is none."""
    neumann: int = 0
    """Terms of the series that stands for the inverse; 0 where it is exact."""
    strength: float = 1.0


def block_size(vectors: int) -> int:
    """Width of a skew-symmetric block of which the upper triangle is kept; ShapeError for other counts."""
    size = (1 + isqrt(1 + 8 * vectors)) // 2
    if size * (size - 1) // 2 != vectors:
        raise ShapeError("oft_R", f"{vectors} elements are no upper triangle")
    return size


@dataclass(frozen=True)
class Turned:
    """A weight whose rows or columns are turned by an orthogonal matrix, in float64.

    `turns` are the parameters of that matrix, in the form that `rotation` names.
    """

    of: Expr
    turns: Expr
    rotation: Rotation

    @property
    def dtype(self) -> str:
        return common((self.of.dtype, self.turns.dtype, "F32"))

    @property
    def shape(self) -> Shape:
        return self.of.shape

    @property
    def by_row(self) -> bool:
        """Whether rows can be computed by themselves."""
        return self.rotation.kind in {"vectors", "butterfly_in"}


@dataclass(frozen=True)
class Embedded:
    """A tensor in the corner of a larger one of zeros."""

    of: Expr
    shape: Shape

    @property
    def dtype(self) -> str:
        return self.of.dtype


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
