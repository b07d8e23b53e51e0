"""LoHa. ΔW = scale · (w1_a · w1_b) ∘ (w2_a · w2_b), multiplied element by element.

a is (O, r), b (r, I), for convolutions (r, I·kh·kw). With Tucker cores t (r, r, kh, kw), a is (r,
O) and b (r, I); t's first index belongs to a (LyCORIS functional/loha.py, functional/general.py;
peft 0.21, tuners/loha/layer.py). Alpha is divided by the rows of ``w1_b``. DoRA magnitudes are
LyCORIS's alone.

Rows of ΔW are rows of both a. ΔWs stack as LoRAs do, both products alike: of block-diagonal a, the
parts' products are the only ones that meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lora_convert.adapter import Scale
from lora_convert.algorithms import _adding, _rows
from lora_convert.algorithms._contract import Factors, Holder, Part
from lora_convert.algorithms._rows import (
    check_beside,
    check_floats,
    check_matrices,
    fitted_beside,
    stacked_beside,
    taken,
    taken_beside,
)
from lora_convert.algorithms.lora import stacked_pairs
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.arithmetic import Contracted, Hadamard, Product
from lora_convert.tensors.build import columns, reshaped, rows, times, transposed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape

_SIDES = ("1", "2")


class _Side(NamedTuple):
    """One of the two products."""

    a: Expr
    """(O, r), whatever its shape in the file."""
    b: Expr
    core: Expr | None

    @property
    def down(self) -> Expr:
        """What a is multiplied by."""
        if self.core is None:
            return self.b
        return Contracted(self.core, reshaped(self.b, (*self.b.shape, 1, 1)))


def _side(tensors: Mapping[str, Expr], number: str) -> _Side:
    core, a = tensors.get(f"hada_t{number}"), tensors[f"hada_w{number}_a"]
    return _Side(a if core is None else transposed(a), tensors[f"hada_w{number}_b"], core)


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the factors do not fit together."""
    check_floats(module, tensors)
    factors = [f"hada_w{number}_{letter}" for number in _SIDES for letter in "ab"]
    check_matrices(module, tensors, *factors)
    if ("hada_t1" in tensors) != ("hada_t2" in tensors):
        raise ShapeError(module, "has one Tucker core of two")
    for number in _SIDES:
        side = _side(tensors, number)
        core = side.core.shape if side.core is not None else (side.b.shape[0], side.b.shape[0], 1)
        if core[:2] != (side.a.shape[1], side.b.shape[0]) or 0 in core:
            shown = f"a {list(side.a.shape)} and b {list(side.b.shape)}"
            raise ShapeError(module, f"its product {number}: {shown} do not fit together")
    one, other = (change.shape for change in _products(Factors(tensors, Scale(1.0, 1.0))))
    if one != other:
        raise ShapeError(module, f"its products are {list(one)} and {list(other)}")
    check_beside(module, tensors, shape(tensors))


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Of ΔW; inputs and kernel are one number where there is no core."""
    side = _side(tensors, "1")
    return (side.a.shape[0], *side.down.shape[1:])


def canonical(module: str, factors: Factors) -> Factors:
    """The magnitude in its canonical shape."""
    return _rows.canonical(module, factors, check, shape)


def fitted(module: str, factors: Factors, holder: Holder) -> Factors:
    """The magnitude in the format's shape."""
    return fitted_beside(
        module, factors, 4 if holder.kind == "conv" else len(shape(factors.tensors)), holder
    )


def _products(factors: Factors) -> tuple[Product, Product]:
    one, other = (_side(factors.tensors, number) for number in _SIDES)
    return Product(one.a, one.down, factors.scale.value), Product(other.a, other.down, 1.0)


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Rows of both a; ranks that none of the rows use are left away."""
    tensors = factors.tensors
    sides = [_side(tensors, number) for number in _SIDES]
    beside = taken_beside(module, factors, ranges, sides[0].a.shape[0])
    ups = [taken(side.a, ranges) for side in sides]
    if sides[0].core is not None:
        found = {f"hada_w{n}_a": transposed(up) for n, up in zip(_SIDES, ups, strict=True)}
        return factors._replace(tensors={**tensors, **found, **beside})
    (first, last), again = (facts.support(up) for up in ups)
    narrowed = Scale(factors.scale.alpha_at(last - first), last - first)
    full = ups[0].shape[1]
    narrow = (first, last) == again and 0 < last - first < full == ups[1].shape[1]
    if not narrow or narrowed.value != factors.scale.value:
        first, last, narrowed = 0, full, factors.scale
    cut = dict(tensors)
    for number, side, up in zip(_SIDES, sides, ups, strict=True):
        cut[f"hada_w{number}_a"] = columns(up, first, last) if narrow else up
        cut[f"hada_w{number}_b"] = rows(side.b, first, last) if narrow else side.b
    return factors._replace(tensors={**cut, **beside}, scale=narrowed)


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """ΔWs one above the other; scales that differ are folded into ``w1_a``, in fp32."""
    present = [part.factors for part in parts if part.factors]
    scale, heights = present[0].scale, [part.height for part in parts]
    shared = all(
        facts.same(present[0].tensors[f"hada_w{number}_b"], other.tensors[f"hada_w{number}_b"])
        for number in _SIDES
        for other in present[1:]
    )
    if any("hada_t1" in factors.tensors for factors in present):
        raise NotExpressibleError(
            f"{module}: parts of a LoHa with Tucker cores cannot be fused",
            why="the cores would have to become one, block by block",
            hint="--as lora --rank R writes the nearest LoRA, whose parts can be fused",
        )
    stacked: dict[str, Expr] = {}
    for number in _SIDES:
        pairs = [
            (
                part.factors.tensors[f"hada_w{number}_a"],
                part.factors.tensors[f"hada_w{number}_b"],
                part.factors.scale.value / scale.value if number == "1" else 1.0,
            )
            if part.factors
            else None
            for part in parts
        ]
        up, down = stacked_pairs(pairs, heights, shared=shared)
        stacked |= {f"hada_w{number}_a": up, f"hada_w{number}_b": down}
    stacked |= stacked_beside(module, parts, scale.value)
    rank = stacked["hada_w1_b"].shape[0]
    return Factors(stacked, scale if shared else Scale(scale.alpha_at(rank), rank))


def change(factors: Factors) -> Hadamard:
    """ΔW, element by element."""
    return Hadamard(*_products(factors))


def parts(factors: Factors) -> dict[str, Expr]:
    """The change, and what lies beside it."""
    return _adding.parts(factors, change(factors))


def scaled(factors: Factors, by: float) -> Factors | None:
    """Another scale; None where there is a magnitude."""
    return _adding.scaled(factors, by)


def folded(factors: Factors) -> Factors:
    """The scale in ``w1_a``."""
    return _adding.folded(factors, factors.tensors["hada_w1_b"].shape[0], "hada_w1_a")


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """``weight + ΔW``, brought to its magnitude where there is one."""
    return _adding.merged(module, base, factors, strength, times(change(factors), strength))
