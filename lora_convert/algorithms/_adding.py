"""What algorithms share that add to a weight."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from lora_convert.adapter import Scale
from lora_convert.errors import ShapeError
from lora_convert.tensors.arithmetic import Directed, Sum
from lora_convert.tensors.build import cast, reshaped, times
from lora_convert.tensors.dtypes import FLOATS
from lora_convert.tensors.expr import Cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.algorithms._contract import Factors
    from lora_convert.tensors.expr import Expr


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float, change: Expr
) -> dict[str, Expr]:
    """``weight + change`` and ``bias + its change``, added in fp32 and rounded once.

    `change` is of that strength already. Where there is a magnitude, the sum is brought to it.
    """
    weight = base["weight"]
    total = plus(module, weight, change)
    magnitude = factors.tensors.get("magnitude")
    if magnitude is not None:
        if len(magnitude.shape) > 1:
            tail = (1,) * (len(weight.shape) - 2)
            magnitude = reshaped(magnitude, (1, weight.shape[1], *tail))
        total = Directed(total, magnitude)
    tensors = {"weight": cast(total, weight.dtype)}
    added = bias_change(factors, strength)
    if added is not None:
        bias = base.get("bias")
        if bias is None or bias.shape != added.shape:
            raise ShapeError(module, f"its trained bias {list(added.shape)} has none in the base")
        tensors["bias"] = cast(Sum(unrounded(bias), added), bias.dtype)
    return tensors


def scaled(factors: Factors, by: float) -> Factors | None:
    """Another scale; None where a magnitude decides how much is changed."""
    if "magnitude" in factors.tensors:
        return None
    own = {r: multiplied(t, by) for r, t in factors.tensors.items() if r == "diff_b"}
    scale = Scale(factors.scale.alpha * by, factors.scale.divisor)
    return factors._replace(tensors={**factors.tensors, **own}, scale=scale)


def folded(factors: Factors, rank: int, *roles: str) -> Factors:
    """The scale in the factors of some roles, and in what else it multiplies; alpha is the rank, if any."""
    value = factors.scale.value
    found = {r: multiplied(t, value) for r, t in factors.tensors.items() if r in {*roles, "bias"}}
    scale = Scale(rank, rank) if rank else Scale(1.0, 1.0)
    return factors._replace(tensors={**factors.tensors, **found}, scale=scale)


def multiplied(tensor: Expr, by: float) -> Expr:
    """A tensor times a number, in the dtype it has."""
    return cast(times(tensor, by), tensor.dtype)


def plus(module: str, weight: Expr, change: Expr) -> Expr:
    """``weight + change``, not yet rounded. 1×1 convolutions may be written as matrices."""
    check_fits(module, weight, change.shape, "changes")
    return Sum(unrounded(weight), reshaped(change, weight.shape))


def check_fits(module: str, weight: Expr, shape: tuple[int, ...], does: str) -> None:
    """Raise ShapeError where a weight is not of some shape, kernel and inputs apart or as one."""
    alike = shape[:1] == weight.shape[:1] and prod(shape) == prod(weight.shape)
    split = len(shape) <= 2 or shape[:2] == weight.shape[:2]
    if not alike or not split or weight.dtype not in FLOATS:
        raise ShapeError(
            module,
            f"{does} a weight of {list(shape)}; the base has {weight.dtype} {list(weight.shape)}",
        )


def unrounded(weight: Expr) -> Expr:
    """A weight as it was before it was rounded: what was merged before is rounded in the end."""
    return weight.of if isinstance(weight, Cast) else weight


def parts(factors: Factors, change: Expr | None) -> dict[str, Expr]:
    """The change, the change of the bias, and the magnitude."""
    bias = bias_change(factors)
    found = {} if change is None else {"change": change}
    if bias is not None:
        found["bias"] = bias
    if "magnitude" in factors.tensors:
        found["magnitude"] = factors.tensors["magnitude"]
    return found


def bias_change(factors: Factors, strength: float = 1.0) -> Expr | None:
    """What is added to the bias: ``scale · bias + diff_b``."""
    bias, plain = factors.tensors.get("bias"), factors.tensors.get("diff_b")
    parts = []
    if bias is not None:
        parts.append(times(bias, factors.scale.value * strength))
    if plain is not None:
        parts.append(times(plain, strength))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else Sum(*parts)
