"""What algorithms share that act on W's columns: every row has the same factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.dtypes import FLOATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_convert.algorithms._contract import Factors, Part
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr


def shared(module: str, parts: Sequence[Part], role: str, facts: Facts) -> Factors:
    """The factors of the first part; NotExpressibleError where the others have not the same `role`."""
    present = [part.factors for part in parts if part.factors]
    first = present[0]
    alike = len(present) == len(parts) and all(
        role in other.tensors
        and other.settings == first.settings
        and facts.same(first.tensors[role], other.tensors[role])
        for other in present[1:]
    )
    if not alike:
        raise NotExpressibleError(
            f"{module}: its parts change the inputs of each in its own way, and cannot be fused",
            why="one module has one change of its inputs for all rows",
            hint="keep it in a format with Diffusers' names, where parts stay apart",
        )
    return first


def check_columns(module: str, weight: Expr, width: int) -> None:
    """Raise ShapeError where a weight has not so many columns, kernel and inputs as one number."""
    columns = 1
    for length in weight.shape[1:]:
        columns *= length
    if len(weight.shape) < 2 or columns % width or weight.dtype not in FLOATS:
        raise ShapeError(
            module,
            f"changes {width} columns; the base has {weight.dtype} {list(weight.shape)}",
        )
