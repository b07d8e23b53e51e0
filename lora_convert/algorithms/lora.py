"""LoRA. ΔW = scale · up · down.

``down`` is (r, I) or (r, I, kh, kw), ``up`` (O, r) or (O, r, 1, 1). With a Tucker core ``mid``
(r, r, kh, kw), ``down`` is (r, I, 1, 1). ``bias`` (O) is a trained bias, times the scale (PEFT
``lora_bias``).

Taking rows slices ``up`` and shares ``down``; stacking shares ``down`` too where all parts have the
same, else puts the downs above one another and makes ``up`` block-diagonal.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from lora_convert.adapter import Scale
from lora_convert.algorithms._contract import Factors, Part
from lora_convert.errors import ShapeError
from lora_convert.tensors.build import cast, columns, padded, reshaped, rows, stack, times
from lora_convert.tensors.dtypes import FLOATS, common
from lora_convert.tensors.expr import Cast, Contracted, Expr, Product, Shape, Sum, Zeros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.facts import Facts


def rank(tensors: Mapping[str, Expr]) -> int:
    """The rank that a stored alpha is divided by: rows of ``down``, or columns of a lone ``up``."""
    if "down" in tensors:
        return next(iter(tensors["down"].shape), 0)
    return next(iter(tensors["up"].shape[1:]), 0) if "up" in tensors else 0


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the factors do not fit together."""
    down, up, mid = tensors["down"], tensors["up"], tensors.get("mid")
    for role, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise ShapeError(
                module, f"{role} has dtype {tensor.dtype}: quantised factors have no scale here"
            )
    if len(down.shape) < 2 or len(up.shape) < 2:
        raise ShapeError(
            module, f"down {list(down.shape)} and up {list(up.shape)} must be matrices"
        )
    if len(down.shape) != len(up.shape):
        raise ShapeError(
            module, f"down {list(down.shape)} and up {list(up.shape)} differ in dimensions"
        )
    if 0 in down.shape or 0 in up.shape:
        raise ShapeError(
            module, f"rank 0 or no width: down {list(down.shape)}, up {list(up.shape)}"
        )
    if mid is not None and not _is_core_of(mid.shape, down.shape):
        raise ShapeError(module, f"mid {list(mid.shape)} does not fit down {list(down.shape)}")
    inner = mid.shape[0] if mid is not None else down.shape[0]
    if up.shape[1] != inner:
        raise ShapeError(
            module, f"up {list(up.shape)} expects rank {up.shape[1]}, down has {inner}"
        )
    if any(length != 1 for length in up.shape[2:]):
        raise ShapeError(module, f"up {list(up.shape)} is not a 1×1 convolution")
    bias = tensors.get("bias")
    if bias is not None and bias.shape != (up.shape[0],):
        raise ShapeError(module, f"bias {list(bias.shape)} does not fit up {list(up.shape)}")


def _is_core_of(mid: Shape, down: Shape) -> bool:
    """Whether a Tucker core (r, q, kh, kw) belongs to a down factor (q, I, 1, 1)."""
    ones = all(length == 1 for length in down[2:])
    return len(mid) == 4 and 0 not in mid and mid[1] == down[0] and ones


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Rows of ΔW; where the rows use a contiguous part of the rank only, the rest is left away."""
    taken = dict(factors.tensors)
    taken["up"] = stack(*(rows(taken["up"], start, stop) for start, stop in ranges))
    if "bias" in taken:
        taken["bias"] = stack(*(rows(taken["bias"], start, stop) for start, stop in ranges))
    if "mid" in taken:
        return Factors(taken, factors.scale)
    full = taken["up"].shape[1]
    first, last = facts.support(taken["up"])
    narrowed = (
        Scale(factors.scale.alpha_at(last - first), last - first) if last > first else factors.scale
    )
    if not 0 < last - first < full or narrowed.value != factors.scale.value:
        return Factors(taken, factors.scale)
    taken["up"] = columns(taken["up"], first, last)
    taken["down"] = rows(taken["down"], first, last)
    return Factors(taken, narrowed)


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """ΔWs one above the other. Scales that differ are folded into ``up``, in fp32."""
    plain = [
        Part(without_mid(part.factors) if part.factors else None, part.height) for part in parts
    ]
    present = [part.factors for part in plain if part.factors]
    scale = present[0].scale
    dtype = common(factors.tensors[role].dtype for factors in present for role in ("down", "up"))
    downs = [factors.tensors["down"] for factors in present]
    shared = all(facts.same(downs[0], down) for down in downs[1:])
    total = sum(down.shape[0] for down in downs)
    ups: list[Expr] = []
    left = 0
    for part in plain:
        if part.factors is None:
            width = downs[0].shape[0] if shared else total
            tail = (1,) * (len(downs[0].shape) - 2)
            ups.append(Zeros("F32", (part.height, width, *tail)))
            continue
        up = times(part.factors.tensors["up"], part.factors.scale.value / scale.value)
        inner = up.shape[1]
        ups.append(up if shared else padded(up, left, total - left - inner))
        left += inner
    dtype = common((dtype, *(up.dtype for up in ups if not isinstance(up, Zeros))))
    stacked: dict[str, Expr] = {
        "down": cast(downs[0], dtype) if shared else stack(*(cast(down, dtype) for down in downs)),
        "up": stack(*(cast(up, dtype) for up in ups)),
    }
    if any("bias" in factors.tensors for factors in present):
        stacked["bias"] = _stacked_bias(plain, scale, dtype)
    rank_now = stacked["down"].shape[0]
    return Factors(stacked, Scale(scale.alpha_at(rank_now), rank_now) if not shared else scale)


def merged(module: str, base: Mapping[str, Expr], factors: Factors) -> dict[str, Expr]:
    """``weight + scale · up · down`` and ``bias + scale · bias``, added in fp32 and rounded once."""
    tensors = {"weight": cast(changed(module, base["weight"], factors), base["weight"].dtype)}
    bias = factors.tensors.get("bias")
    if bias is not None:
        if "bias" not in base or base["bias"].shape != bias.shape:
            raise ShapeError(module, f"its trained bias {list(bias.shape)} has none in the base")
        total = Sum(base["bias"], times(bias, factors.scale.value))
        tensors["bias"] = cast(total, base["bias"].dtype)
    return tensors


def changed(module: str, weight: Expr, factors: Factors) -> Expr:
    """``weight + scale · up · down``, not yet rounded. 1×1 convolutions may be written as matrices."""
    tensors, scale = without_mid(factors)
    change = Product(tensors["up"], tensors["down"], scale.value)
    alike = change.shape[:2] == weight.shape[:2] and prod(change.shape) == prod(weight.shape)
    if not alike or weight.dtype not in FLOATS:
        raise ShapeError(
            module,
            f"changes a weight of {list(change.shape)}; the base has {weight.dtype} {list(weight.shape)}",
        )
    exact = (
        weight.of if isinstance(weight, Cast) else weight
    )  # what was merged before is not rounded yet
    return Sum(exact, reshaped(change, weight.shape))


def _stacked_bias(parts: Sequence[Part], scale: Scale, dtype: str) -> Expr:
    pieces: list[Expr] = []
    for part in parts:
        bias = part.factors.tensors.get("bias") if part.factors else None
        if part.factors is None or bias is None:
            pieces.append(Zeros(dtype, (part.height,)))
        else:
            pieces.append(cast(times(bias, part.factors.scale.value / scale.value), dtype))
    return stack(*pieces)


def without_mid(factors: Factors) -> Factors:
    """The same ΔW with a Tucker core contracted into ``down``."""
    mid = factors.tensors.get("mid")
    if mid is None:
        return factors
    tensors = {role: tensor for role, tensor in factors.tensors.items() if role != "mid"}
    tensors["down"] = Contracted(mid, tensors["down"])
    # the trainer divides alpha by the rows of the stored down, which the contraction may change
    new_rank = tensors["down"].shape[0]
    return Factors(tensors, Scale(factors.scale.alpha_at(new_rank), new_rank))
