"""Expressions that turn weights, by the parameters of orthogonal matrices."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from lora_convert.errors import ShapeError
from lora_convert.tensors.dtypes import common

if TYPE_CHECKING:
    from lora_convert.tensors.expr import Expr, Shape

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
