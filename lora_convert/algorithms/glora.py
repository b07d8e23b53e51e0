"""GLoRA of LyCORIS. ΔW = scale · (W · a1 · a2 + b1 · b2).

a1 is (I, r), a2 (r, I), b1 (O, r), b2 (r, I) or (r, I, kh, kw), or (r, I, 1, 1) with a Tucker core
``bm`` (r, r, kh, kw); each may be written as a 1×1 convolution (LyCORIS modules/glora.py). Alpha is
divided by the rows of ``a2``. The first part takes the base weight, whose inputs it mixes alike for
every kernel element.

Rows of ΔW are rows of b1. ΔWs stack where they have the same a1 and a2, their b as LoRAs do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.algorithms import _adding
from lora_convert.algorithms._rows import check_floats, taken
from lora_convert.algorithms.lora import check as check_lora
from lora_convert.algorithms.lora import stacked_pairs
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.arithmetic import Contracted, Mixed, Product, Sum
from lora_convert.tensors.build import cast, reshaped, times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.algorithms._contract import Factors, Holder, Part
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the factors do not fit together."""
    check_floats(module, tensors)
    for role in ("a1", "a2"):
        if len(tensors[role].shape) < 2 or any(n != 1 for n in tensors[role].shape[2:]):
            raise ShapeError(module, f"{role} {list(tensors[role].shape)} must be a matrix")
    (into, rank), (again, back) = tensors["a1"].shape[:2], tensors["a2"].shape[:2]
    if rank != again or into != back:
        raise ShapeError(
            module,
            f"a1 {[into, rank]} and a2 {[again, back]} do not fit together;"
            " LyCORIS before 2.0 kept them the other way round",
        )
    renamed = {"down": tensors["b2"], "up": tensors["b1"]}
    check_lora(module, renamed | ({"mid": tensors["bm"]} if "bm" in tensors else {}))
    if tensors["b2"].shape[1] != into:
        raise ShapeError(module, f"a1 has {into} inputs, b2 {tensors['b2'].shape[1]}")


def shape(tensors: Mapping[str, Expr]) -> Shape:
    """Of ΔW."""
    kernel = tensors["bm" if "bm" in tensors else "b2"].shape[2:]
    return (tensors["b1"].shape[0], tensors["b2"].shape[1], *kernel)


def canonical(module: str, factors: Factors) -> Factors:
    """As they are."""
    check(module, factors.tensors)
    return factors


def fitted(module: str, factors: Factors, holder: Holder) -> Factors:
    """As they are."""
    return factors


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Rows of b1."""
    found = {**factors.tensors, "b1": taken(factors.tensors["b1"], ranges)}
    return factors._replace(tensors=found)


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """ΔWs one above the other, where they have the same a1, a2, b2 and scale."""
    present = [part.factors for part in parts if part.factors]
    first = present[0]
    alike = len(present) == len(parts) and all(
        other.scale.value == first.scale.value
        and other.tensors.keys() == first.tensors.keys()
        and all(facts.same(first.tensors[r], other.tensors[r]) for r in other.tensors if r != "b1")
        for other in present[1:]
    )
    if not alike:
        raise NotExpressibleError(
            f"{module}: its parts are GLoRAs of their own, and cannot be fused",
            why="one module has one a1 and a2 for all rows",
            hint="lora-convert merge puts it into a base, in one file or a component of a pipeline",
        )
    pairs = [(factors.tensors["b1"], factors.tensors["b2"], 1.0) for factors in present]
    up, _ = stacked_pairs(pairs, [part.height for part in parts], shared=True)
    return first._replace(tensors={**first.tensors, "b1": up})


def change(factors: Factors) -> None:
    """None: a part of it takes the base weight."""


def parts(factors: Factors) -> dict[str, Expr]:
    """What the base weight is multiplied by, and what is added."""
    scale = factors.scale.value
    a1, a2 = _matrices(factors.tensors)
    return {"own": Product(a1, a2, scale), "change": _added(factors.tensors, scale)}


def _matrices(tensors: Mapping[str, Expr]) -> tuple[Expr, Expr]:
    a1, a2 = (reshaped(tensors[role], tensors[role].shape[:2]) for role in ("a1", "a2"))
    return a1, a2


def _added(tensors: Mapping[str, Expr], scale: float) -> Product:
    core, b2 = tensors.get("bm"), tensors["b2"]
    return Product(tensors["b1"], b2 if core is None else Contracted(core, b2), scale)


def scaled(factors: Factors, by: float) -> Factors | None:
    """Another scale."""
    return _adding.scaled(factors, by)


def folded(factors: Factors) -> Factors:
    """The scale in ``a1`` and ``b1``."""
    return _adding.folded(factors, factors.tensors["a2"].shape[0], "a1", "b1")


def merged(
    module: str, base: Mapping[str, Expr], factors: Factors, strength: float
) -> dict[str, Expr]:
    """``weight + ΔW``, added in fp32 and rounded once."""
    tensors, weight = factors.tensors, base["weight"]
    scale = factors.scale.value * strength
    added = _added(tensors, scale)
    _adding.check_fits(module, weight, added.shape, "changes")
    a1, a2 = _matrices(tensors)
    exact = _adding.unrounded(weight)
    own = times(Mixed(Mixed(exact, a1), a2), scale)
    total = Sum(Sum(exact, own), reshaped(added, weight.shape))
    return {"weight": cast(total, weight.dtype)}
