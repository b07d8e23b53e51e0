"""LoRA. ΔW = scale · up · down.

``down`` is (r, I) or (r, I, kh, kw), ``up`` (O, r) or (O, r, 1, 1). With a Tucker core ``mid`` (r,
r, kh, kw), ``down`` is (r, I, 1, 1). ``bias`` (O) is a trained bias, times the scale (PEFT
``lora_bias``), ``diff_b`` (O) one that is not. ``reshape`` says that the base weight is put into
the corner of a larger one of zeros, of ΔW's shape (ComfyUI comfy/weight_adapter/lora.py).

Taking rows slices ``up`` and shares ``down``; stacking shares ``down`` too where all parts have the
same, else puts the downs above one another and makes ``up`` block-diagonal.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

from lora_convert.adapter import Scale
from lora_convert.algorithms import _adding, _rows
from lora_convert.algorithms._contract import Factors, Holder, Part
from lora_convert.algorithms._rows import (
    BESIDE,
    check_beside,
    check_floats,
    fitted_beside,
    is_whole,
    stacked_beside,
    taken,
    taken_beside,
)
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.arithmetic import Contracted, Embedded, Product
from lora_convert.tensors.build import cast, columns, padded, reshaped, rows, stack, times
from lora_convert.tensors.dtypes import common
from lora_convert.tensors.expr import Held, Zeros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape


def rank(tensors: Mapping[str, Expr]) -> int:
    """The rank that a stored alpha is divided by: rows of ``down``, or columns of a lone ``up``."""
    if "down" in tensors:
        return next(iter(tensors["down"].shape), 0)
    return next(iter(tensors["up"].shape[1:]), 0) if "up" in tensors else 0


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the factors do not fit together."""
    down, up, mid = tensors["down"], tensors["up"], tensors.get("mid")
    check_floats(module, {role: tensor for role, tensor in tensors.items() if role != "reshape"})
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
    check_beside(module, tensors, shape(tensors))


def _is_core_of(mid: Shape, down: Shape) -> bool:
    """Whether a Tucker core (r, q, kh, kw) belongs to a down factor (q, I, 1, 1)."""
    ones = all(length == 1 for length in down[2:])
    return len(mid) == 4 and 0 not in mid and mid[1] == down[0] and ones


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Of ΔW."""
    kernel = tensors["mid" if "mid" in tensors else "down"].shape[2:]
    return (tensors["up"].shape[0], tensors["down"].shape[1], *kernel)


def canonical(module: str, factors: Factors) -> Factors:
    """The magnitude in its canonical shape."""
    return _rows.canonical(module, factors, check, shape)


def fitted(module: str, factors: Factors, holder: Holder) -> Factors:
    """1×1 convolutions and linear layers in the shape their module has: files hold either.

    A Tucker core is contracted where the format has no place for it. That the base weight is enlarged
    goes without saying where nothing can say it: the factors are larger.
    """
    if not holder.holds("mid"):
        factors = without_mid(factors)
    tensors = dict(factors.tensors)
    if not holder.holds("reshape"):
        tensors.pop("reshape", None)
    pointwise = "mid" not in tensors and tensors["down"].shape[2:] in {(), (1, 1)}
    for role in ("down", "up") if pointwise else ():
        tensor = tensors[role]
        if holder.kind == "conv" and len(tensor.shape) == 2:
            tensors[role] = reshaped(tensor, (*tensor.shape, 1, 1))
        elif holder.kind == "linear" and tensor.shape[2:] == (1, 1):
            tensors[role] = reshaped(tensor, tensor.shape[:2])
    return fitted_beside(
        module, factors._replace(tensors=tensors), len(tensors["up"].shape), holder
    )


def enlarging(factors: Factors) -> Factors:
    """The same, saying that the base weight is put into a larger one of zeros, of ΔW's shape."""
    sizes = shape(factors.tensors)
    held = Held(pack(f"<{len(sizes)}q", *sizes), "I64", (len(sizes),))
    return factors._replace(tensors={**factors.tensors, "reshape": held})


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Rows of ΔW; where the rows use a contiguous part of the rank only, the rest is left away."""
    tensors, height = factors.tensors, factors.tensors["up"].shape[0]
    if "reshape" in tensors and not is_whole(ranges, height):
        raise NotExpressibleError(
            f"{module}: enlarges its base weight, and cannot be split by rows",
            why="the parts would have to be enlarged too, each by its share",
            hint="convert to a format with the authors' names, such as kohya",
        )
    found = {
        **{role: tensor for role, tensor in tensors.items() if role not in BESIDE},
        "up": taken(tensors["up"], ranges),
        **taken_beside(module, factors, ranges, height),
    }
    if "mid" in found:
        return factors._replace(tensors=found)
    full = found["up"].shape[1]
    first, last = facts.support(found["up"])
    narrowed = (
        Scale(factors.scale.alpha_at(last - first), last - first) if last > first else factors.scale
    )
    if not 0 < last - first < full or narrowed.value != factors.scale.value:
        return factors._replace(tensors=found)
    found["up"] = columns(found["up"], first, last)
    found["down"] = rows(found["down"], first, last)
    return factors._replace(tensors=found, scale=narrowed)


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """ΔWs one above the other. Scales that differ are folded into ``up``, in fp32."""
    plain = [
        Part(without_mid(part.factors) if part.factors else None, part.height) for part in parts
    ]
    present = [part.factors for part in plain if part.factors]
    if any("reshape" in factors.tensors for factors in present):
        raise NotExpressibleError(
            f"{module}: a part enlarges its base weight, and cannot be fused",
            why="the whole would have to be enlarged in the middle",
            hint="convert to a format with Diffusers' names, where parts stay apart",
        )
    scale = present[0].scale
    downs = [factors.tensors["down"] for factors in present]
    shared = all(facts.same(downs[0], down) for down in downs[1:])
    pairs = [
        (f.tensors["up"], f.tensors["down"], f.scale.value / scale.value) if f else None
        for f in (part.factors for part in plain)
    ]
    up, down = stacked_pairs(pairs, [part.height for part in parts], shared=shared)
    stacked = {"down": down, "up": up, **stacked_beside(module, plain, scale.value)}
    rank = down.shape[0]
    return Factors(stacked, scale if shared else Scale(scale.alpha_at(rank), rank))


def stacked_pairs(
    pairs: Sequence[tuple[Expr, Expr, float] | None], heights: Sequence[int], *, shared: bool
) -> tuple[Expr, Expr]:
    """Up and down of products ``factor · up · down`` one above the other; None is rows of zeros.

    `shared` says that all have one down; else the downs stand above one another.
    """
    downs = [pair[1] for pair in pairs if pair]
    total = downs[0].shape[0] if shared else sum(down.shape[0] for down in downs)
    ups: list[Expr] = []
    left = 0
    for pair, height in zip(pairs, heights, strict=True):
        if pair is None:
            ups.append(Zeros("F32", (height, total, *(1,) * (len(downs[0].shape) - 2))))
            continue
        up = times(pair[0], pair[2])
        inner = up.shape[1]
        ups.append(up if shared else padded(up, left, total - left - inner))
        left += inner
    given = [factor.dtype for pair in pairs if pair for factor in pair[:2]]
    dtype = common((*given, *(up.dtype for up in ups if not isinstance(up, Zeros))))
    below = cast(downs[0], dtype) if shared else stack(*(cast(down, dtype) for down in downs))
    return stack(*(cast(up, dtype) for up in ups)), below


def change(factors: Factors) -> Product:
    """ΔW, a product."""
    tensors, scale, _ = without_mid(factors)
    return Product(tensors["up"], tensors["down"], scale.value)


def parts(factors: Factors) -> dict[str, Expr]:
    """The change, and what lies beside it."""
    return _adding.parts(factors, change(factors))


def scaled(factors: Factors, by: float) -> Factors | None:
    """Another scale; None of a DoRA, whose result has the magnitude's norm."""
    return _adding.scaled(factors, by)


def folded(factors: Factors) -> Factors:
    """The scale in ``up``."""
    return _adding.folded(factors, rank(factors.tensors), "up")


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """``weight + scale · up · down`` and ``bias + scale · bias``, added in fp32 and rounded once."""
    made = change(factors)
    whole = Product(made.up, made.down, made.factor * strength)
    if "reshape" in factors.tensors:
        base = {**base, "weight": _enlarged(module, base["weight"], whole.shape)}
    return _adding.merged(module, base, factors, strength, whole)


def _enlarged(module: str, weight: Expr, wanted: Shape) -> Expr:
    pairs = zip(weight.shape, wanted, strict=False)
    if len(weight.shape) != len(wanted) or any(has > wants for has, wants in pairs):
        raise ShapeError(module, f"enlarges to {list(wanted)}; the base has {list(weight.shape)}")
    return weight if weight.shape == wanted else Embedded(weight, wanted)


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
