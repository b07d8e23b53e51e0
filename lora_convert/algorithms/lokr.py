"""LoKr. ΔW = scale · w1 ⊗ w2: row i·b + k of ΔW is row i of w1 times row k of w2.

w1 is (a, c) or ``w1_a`` (a, r) · ``w1_b`` (r, c). w2 is (b, d), for convolutions (b, d, kh, kw), or
``w2_a`` (b, r) · ``w2_b`` (r, d·kh·kw), or with a Tucker core ``t2`` (r, r, kh, kw): ``w2_a`` (r,
b), ``w2_b`` (r, d). ΔW is (a·b, c·d) (LyCORIS functional/lokr.py; peft 0.21, tuners/lokr/layer.py).
Alpha is divided by the rows of ``w2_b``, or of ``w1_b``; where both are whole it means nothing
(LyCORIS modules/lokr.py), except to PEFT.

Rows of ΔW are rows of w1 where they are whole blocks of w2's height, and rows of w2 inside one such
block. ΔWs stack where they have one w2. All others are no Kronecker products.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from lora_convert.adapter import Scale
from lora_convert.algorithms import _adding, _rows
from lora_convert.algorithms._contract import Factors, Holder, Part
from lora_convert.algorithms._rows import (
    BESIDE,
    check_beside,
    check_floats,
    check_matrices,
    fitted_beside,
    is_whole,
    stacked_beside,
    taken,
    taken_beside,
)
from lora_convert.algorithms.lora import stacked_pairs
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.arithmetic import Contracted, Kronecker, Product
from lora_convert.tensors.build import reshaped, times, transposed
from lora_convert.tensors.expr import Zeros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape

_RANKED = ("lokr_w2_b", "lokr_w1_b")
"""Of which the rows are the rank, the first that is there."""


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the factors do not fit together."""
    check_floats(module, tensors)
    listed = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b")
    check_matrices(module, tensors, *listed)
    for role in ("lokr_w1", "lokr_w2"):
        if role in tensors and f"{role}_a" in tensors:
            raise ShapeError(module, f"has {role} whole and in factors")
    whole = tensors.get("lokr_w2")
    if whole is not None and (len(whole.shape) < 2 or 0 in whole.shape):
        raise ShapeError(module, f"lokr_w2 {list(whole.shape)} is no weight")
    core = tensors.get("lokr_t2")
    if core is not None and (len(core.shape) != 4 or whole is not None or 0 in core.shape):
        raise ShapeError(module, f"lokr_t2 {list(core.shape)} has no factors that it fits")
    inner = _rank_between(tensors)
    if inner[0] != inner[1]:
        raise ShapeError(module, f"its factors have ranks {inner[0]} and {inner[1]}")
    check_beside(module, tensors, shape(tensors))


def _rank_between(tensors: Mapping[str, Expr]) -> tuple[Shape, Shape]:
    """Ranks as the left factors and as the right ones have them."""
    left: list[int] = []
    right: list[int] = []
    if "lokr_w1_a" in tensors:
        left.append(tensors["lokr_w1_a"].shape[1])
        right.append(tensors["lokr_w1_b"].shape[0])
    if "lokr_w2_a" in tensors:
        core = tensors.get("lokr_t2")
        a, b = tensors["lokr_w2_a"].shape, tensors["lokr_w2_b"].shape
        left += [a[1]] if core is None else [a[0], core.shape[1]]
        right += [b[0]] if core is None else [core.shape[0], b[0]]
    return tuple(left), tuple(right)


def outer(tensors: Mapping[str, Expr]) -> Expr:
    """w1, (a, c)."""
    if "lokr_w1" in tensors:
        return tensors["lokr_w1"]
    return Product(tensors["lokr_w1_a"], tensors["lokr_w1_b"], 1.0)


def inner(tensors: Mapping[str, Expr]) -> Expr:
    """w2, (b, d) or (b, d, kh, kw) or, of a convolution without a core, (b, d·kh·kw)."""
    if "lokr_w2" in tensors:
        return tensors["lokr_w2"]
    a, b, core = tensors["lokr_w2_a"], tensors["lokr_w2_b"], tensors.get("lokr_t2")
    if core is None:
        return Product(a, b, 1.0)
    return Product(transposed(a), Contracted(core, reshaped(b, (*b.shape, 1, 1))), 1.0)


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Of ΔW."""
    (a, c), (b, d, *kernel) = outer(tensors).shape, inner(tensors).shape
    return (a * b, c * d, *kernel)


def canonical(module: str, factors: Factors) -> Factors:
    """The magnitude in its canonical shape."""
    return _rows.canonical(module, factors, check, shape)


def fitted(module: str, factors: Factors, holder: Holder) -> Factors:
    """The magnitude in the format's shape; a scale without a rank is folded where readers ignore it."""
    if not holder.scales and not {"lokr_w1_a", "lokr_w2_a"} & factors.tensors.keys():
        factors = folded(factors)
    return fitted_beside(
        module, factors, 4 if holder.kind == "conv" else len(shape(factors.tensors)), holder
    )


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Rows of w1, or of w2 where all are in one block."""
    tensors = factors.tensors
    height, block = shape(tensors)[0], inner(tensors).shape[0]
    if is_whole(ranges, height) and len(ranges) == 1:
        return factors
    found = {role: tensor for role, tensor in tensors.items() if role not in BESIDE}
    beside = taken_beside(module, factors, ranges, height)
    if all(start % block == 0 and stop % block == 0 for start, stop in ranges):
        role = "lokr_w1" if "lokr_w1" in tensors else "lokr_w1_a"
        found[role] = taken(tensors[role], [(top // block, end // block) for top, end in ranges])
        return factors._replace(tensors={**found, **beside})
    numbers = {start // block for start, _ in ranges} | {(stop - 1) // block for _, stop in ranges}
    if len(numbers) > 1:
        parts = ", ".join(f"{start} to {stop}" for start, stop in ranges)
        raise NotExpressibleError(
            f"{module}: rows {parts} of a LoKr whose blocks have {block} rows are no LoKr",
            why="the parts end inside blocks, and what is left of them is no Kronecker product",
            hint="--as lora --rank R writes the nearest LoRA, --as full the change itself (--to kohya)",
        )
    number = numbers.pop()
    within = [(start - number * block, stop - number * block) for start, stop in ranges]
    left = "lokr_w1" if "lokr_w1" in tensors else "lokr_w1_a"
    found[left] = taken(tensors[left], [(number, number + 1)])
    if "lokr_w2" in tensors:
        found["lokr_w2"] = taken(tensors["lokr_w2"], within)
    elif "lokr_t2" in tensors:
        found["lokr_w2_a"] = transposed(taken(transposed(tensors["lokr_w2_a"]), within))
    else:
        found["lokr_w2_a"] = taken(tensors["lokr_w2_a"], within)
    return factors._replace(tensors={**found, **beside})


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """ΔWs one above the other, where w2 is the same and the parts have whole blocks of it."""
    present = [part.factors for part in parts if part.factors]
    first = present[0]
    block = inner(first.tensors).shape[0]
    below = [role for role in first.tensors if role.startswith(("lokr_w2", "lokr_t2"))]
    forms = {tuple(sorted(role for role in f.tensors if role.startswith("lokr"))) for f in present}
    fits = len(forms) == 1 and all(part.height % block == 0 for part in parts)
    fits = fits and all(
        facts.same(first.tensors[role], other.tensors[role])
        for other in present[1:]
        for role in below
    )
    if not fits:
        raise NotExpressibleError(
            f"{module}: its parts are LoKrs of their own, which have no LoKr together",
            why="a Kronecker product has one second factor for all its rows",
            hint="--as lora --rank R writes the nearest LoRA, --as full the change itself (--to kohya)",
        )
    heights = [part.height // block for part in parts]
    stacked = {role: first.tensors[role] for role in below}
    if "lokr_w1" in first.tensors:
        stacked["lokr_w1"] = _stacked_whole(parts, heights, first)
    else:
        pairs = [
            (f.tensors["lokr_w1_a"], f.tensors["lokr_w1_b"], f.scale.value / first.scale.value)
            if f
            else None
            for f in (part.factors for part in parts)
        ]
        downs = [f.tensors["lokr_w1_b"] for f in present]
        shared = all(facts.same(downs[0], down) for down in downs[1:])
        up, down = stacked_pairs(pairs, heights, shared=shared)
        if not shared and "lokr_w2" not in first.tensors:
            raise NotExpressibleError(
                f"{module}: its parts have first factors of their own, which have more rank together",
                why="both factors of a LoKr have one rank",
                hint="--as lora --rank R writes the nearest LoRA",
            )
        stacked |= {"lokr_w1_a": up, "lokr_w1_b": down}
        if not shared:
            stacked |= stacked_beside(module, parts, first.scale.value)
            rank = down.shape[0]
            scale = Scale(first.scale.alpha_at(rank), rank)
            return Factors(stacked, scale)
    return Factors({**stacked, **stacked_beside(module, parts, first.scale.value)}, first.scale)


def _stacked_whole(parts: Sequence[Part], heights: Sequence[int], first: Factors) -> Expr:
    from lora_convert.algorithms._rows import stack_in_common

    width = first.tensors["lokr_w1"].shape[1]
    return stack_in_common(
        [
            times(part.factors.tensors["lokr_w1"], part.factors.scale.value / first.scale.value)
            if part.factors
            else Zeros("F16", (height, width))
            for part, height in zip(parts, heights, strict=True)
        ]
    )


def change(factors: Factors) -> Expr:
    """ΔW, kernel and inputs as one number."""
    second = inner(factors.tensors)
    flat = reshaped(second, (second.shape[0], prod(second.shape[1:])))
    return times(Kronecker(outer(factors.tensors), flat), factors.scale.value)


def parts(factors: Factors) -> dict[str, Expr]:
    """The change, and what lies beside it."""
    return _adding.parts(factors, change(factors))


def scaled(factors: Factors, by: float) -> Factors | None:
    """Another scale; None where there is a magnitude."""
    return _adding.scaled(factors, by)


def folded(factors: Factors) -> Factors:
    """The scale in the first factor; 1 stands there by itself where both are whole."""
    ranks = (factors.tensors[r].shape[0] for r in _RANKED if r in factors.tensors)
    return _adding.folded(factors, next(ranks, 0), "lokr_w1", "lokr_w1_a")


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """``weight + ΔW``, brought to its magnitude where there is one."""
    return _adding.merged(module, base, factors, strength, times(change(factors), strength))
