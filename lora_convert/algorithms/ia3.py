"""IA3. Rows, or columns, of W times learned factors.

PEFT keeps the factors as ``ia3_l``: (O, 1) for rows, whose bias is multiplied too, (1, I) for
columns of feedforward modules, (1, O, 1, …) or (1, I, 1, …) for convolutions (peft 0.21,
tuners/ia3/layer.py). LyCORIS keeps the factors less 1 as ``weight``, (O) or (I), and says by
``on_input`` which; it leaves the bias alone (modules/ia3.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.algorithms import _adding
from lora_convert.algorithms._columns import shared
from lora_convert.algorithms._rows import check_floats, stack_in_common, taken
from lora_convert.algorithms.oft import weakened
from lora_convert.errors import ShapeError
from lora_convert.tensors.arithmetic import Gained, Shifted
from lora_convert.tensors.build import cast, reshaped, shifted, times
from lora_convert.tensors.expr import Zeros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.algorithms._contract import Factors, Holder, Part
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape


def role_of(tensors: Mapping[str, Expr]) -> str:
    """``ia3_l`` or ``ia3_weight``."""
    return "ia3_l" if "ia3_l" in tensors else "ia3_weight"


def on_input(factors: Factors) -> bool:
    """Whether the factors are those of columns."""
    return _is_across(factors.tensors[role_of(factors.tensors)].shape)


def _is_across(shape: Shape) -> bool:
    """Whether a canonical vector is one of columns."""
    return len(shape) > 1 and shape[0] == 1


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the factors are no vector."""
    check_floats(module, tensors)
    role = role_of(tensors)
    lengths = [length for length in tensors[role].shape if length != 1]
    if not tensors[role].shape or len(lengths) > 1 or 0 in lengths:
        raise ShapeError(module, f"{role} {list(tensors[role].shape)} is no vector")


def length(tensors: Mapping[str, Expr]) -> int:
    """Number of factors."""
    count = 1
    for one in tensors[role_of(tensors)].shape:
        count *= one
    return count


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Outputs or inputs, whichever the factors are of."""
    columns = _is_across(tensors[role_of(tensors)].shape)
    return (0, length(tensors)) if columns else (length(tensors), 0)


def canonical(module: str, factors: Factors) -> Factors:
    """(O) where the factors are those of rows, (1, I) of columns; (O, 1, …), (1, I, …) of convolutions."""
    check(module, factors.tensors)
    role = role_of(factors.tensors)
    tensor = factors.tensors[role]
    matrix = len(tensor.shape) == 2 and tensor.shape[0] == 1 < tensor.shape[1]
    columns = bool(factors.settings.get("on_input", matrix)) or (role == "ia3_l" and matrix)
    count = length(factors.tensors)
    tail = (1,) * max(len(tensor.shape) - 2, 0)
    first = (1, count) if columns else (count, 1) if tail else (count,)
    vector = reshaped(tensor, (*first, *tail))
    return factors._replace(tensors={role: vector}, settings={"on_input": float(columns)})


def fitted(module: str, factors: Factors, holder: Holder) -> Factors:
    """The factors themselves, or less 1, in the format's shape."""
    count, columns = length(factors.tensors), on_input(factors)
    own = factors.tensors[role_of(factors.tensors)].shape[2:]
    tail = {"conv": own or (1, 1), "linear": ()}.get(holder.kind, own)
    if holder.holds("ia3_l"):
        first = (1, count) if columns or tail else (count, 1)
        return factors._replace(tensors={"ia3_l": reshaped(gains(factors), (*first, *tail))})
    less = shifted(gains(factors), -1.0)
    return factors._replace(
        tensors={"ia3_weight": reshaped(less, (1, count, *tail) if tail else (count,))}
    )


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Factors of rows go with them; those of columns are the same for all rows."""
    if on_input(factors):
        return factors
    role = role_of(factors.tensors)
    return factors._replace(tensors={role: taken(factors.tensors[role], ranges)})


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """Factors of rows one above the other, 1 for rows not adapted; of columns, where all are alike."""
    present = [part.factors for part in parts if part.factors]
    first = present[0]
    role = role_of(first.tensors)
    if any(role not in factors.tensors or on_input(factors) for factors in present):
        return shared(module, parts, role, facts)
    tail = first.tensors[role].shape[1:]
    vectors: list[Expr] = []
    for part in parts:
        if part.factors:
            vectors.append(part.factors.tensors[role])
        else:
            nothing: Expr = Zeros("F16", (part.height, *tail))
            vectors.append(Shifted(nothing, 1.0) if role == "ia3_l" else nothing)
    return first._replace(tensors={role: stack_in_common(vectors)})


def change(factors: Factors) -> None:
    """None: it multiplies the base weight."""


def gains(factors: Factors) -> Expr:
    """The factors, 1 where nothing changes."""
    role = role_of(factors.tensors)
    vector = reshaped(factors.tensors[role], (length(factors.tensors),))
    return vector if role == "ia3_l" else shifted(vector, 1.0)


def parts(factors: Factors) -> dict[str, Expr]:
    """The factors, 1 where nothing changes."""
    return {"columns" if on_input(factors) else "rows": gains(factors)}


def scaled(factors: Factors, by: float) -> Factors | None:
    """What the factors are beyond 1, multiplied."""
    role = role_of(factors.tensors)
    vector = factors.tensors[role]
    found = weakened(vector, by) if role == "ia3_l" else times(vector, by)
    return factors._replace(tensors={role: cast(found, vector.dtype)})


def folded(factors: Factors) -> Factors:
    """As they are: there is no scale."""
    return factors


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """The weight times the factors, and the bias where PEFT's are those of rows."""
    weight, count = base["weight"], length(factors.tensors)
    by = weakened(gains(factors), strength)
    axis = 1 if on_input(factors) else 0
    if len(weight.shape) < 2 or weight.shape[axis] != count:
        where = "columns" if axis else "rows"
        raise ShapeError(module, f"multiplies {count} {where}; the base has {list(weight.shape)}")
    across = reshaped(by, (1, count, *(1,) * (len(weight.shape) - 2))) if axis else by
    tensors = {"weight": cast(Gained(_adding.unrounded(weight), across), weight.dtype)}
    bias = base.get("bias")
    if bias is not None and axis == 0 and "ia3_l" in factors.tensors:
        tensors["bias"] = cast(Gained(_adding.unrounded(bias), by), bias.dtype)
    return tensors
