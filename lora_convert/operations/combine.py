"""Several adapters as one: the sum of their ΔWs, each so many times, or what TIES and DARE make of them."""

from __future__ import annotations

from functools import partial, reduce
from math import isfinite
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args
from zlib import crc32

from lora_convert.adapter import Scale
from lora_convert.errors import NotExpressibleError, OptionError, ShapeError
from lora_convert.operations.approximating import cut, lost, product_of, ranks_of, resized
from lora_convert.operations.editing import AS_IT_WAS, AS_TOLD, Bench, Edited, plan_edit
from lora_convert.operations.scale import scaled
from lora_convert.tensors.approximations import Dropped, Elected
from lora_convert.tensors.arithmetic import Product, Sum
from lora_convert.tensors.build import cast, padded, reshaped, stack, times
from lora_convert.tensors.dtypes import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_convert.adapter import Delta
    from lora_convert.operations.editing import Writing
    from lora_convert.operations.merging import Added
    from lora_convert.operations.reading import Reading
    from lora_convert.operations.writing import ConversionPlan
    from lora_convert.tensors.expr import Expr

Method: TypeAlias = Literal["linear", "concat", "svd", "ties", "dare"]
METHODS: tuple[Method, ...] = get_args(Method)


class Combination(NamedTuple):
    """How adapters are combined."""

    method: Method = "linear"
    rank: int | None = None
    """Of every module; None for what the sum has, or with svd, ties and dare the largest of the sources'."""
    density: float = 0.5
    """Share of the elements of each ΔW that ties and dare keep."""
    seed: int = 0
    """Of what dare drops."""

    def check(self) -> None:
        """Raise OptionError for values that cannot be."""
        if self.method not in METHODS:
            raise OptionError("method", self.method, choices=METHODS)
        if self.rank is not None and (self.rank < 1 or self.method == "concat"):
            why = "concat has the ranks of all together" if self.rank > 0 else ""
            raise OptionError("rank", self.rank, why=why, hint="--method svd --rank 16")
        if not 0 < self.density <= 1:
            raise OptionError("density", self.density, hint="for example --density 0.5")
        if self.seed < 0:
            raise OptionError("seed", self.seed, hint="for example --seed 0")


class _Member(NamedTuple):
    """What one adapter adds to a module."""

    delta: Delta
    times: float

    @property
    def strength(self) -> float:
        """How many times its ``up · down`` is added."""
        return self.delta.scale.value * self.times


def plan_combine(
    added: Sequence[Added],
    how: Combination,
    *,
    reading: Reading = AS_TOLD,
    writing: Writing = AS_IT_WAS,
) -> ConversionPlan:
    """Work out one adapter that acts like all of `added` together, each as many times as it says.

    Formats and ranks may differ, architectures not. NotExpressibleError for modules that are no LoRA, unless
    one adapter alone has them and counts once.
    """
    how.check()
    if not all(isfinite(one.strength) for one in added):
        raise OptionError("weight", [one.strength for one in added])
    edit = partial(_combined, strengths=[one.strength for one in added], how=how)
    return plan_edit([one.path for one in added], edit, "combined", reading, writing)


def _combined(bench: Bench, *, strengths: Sequence[float], how: Combination) -> Edited:
    groups: dict[tuple[str, str], list[_Member]] = {}
    for adapter, strength in zip(bench.adapters, strengths, strict=True):
        for delta in adapter.deltas if strength else ():
            place = delta.component, delta.module
            groups.setdefault(place, []).append(_Member(delta, strength))
    if not groups:
        raise OptionError("weight", 0.0, why="nothing would be left")
    make = _pruned if how.method in {"ties", "dare"} else _summed
    first = bench.adapters[0]
    metadata = first.metadata if len(bench.adapters) == 1 else {}
    deltas = tuple(make(members, how) for members in groups.values())
    found = first._replace(deltas=deltas, base=0, metadata=metadata)
    fields = {
        "adapters": [
            {"path": path, "weight": strength}
            for path, strength in zip(bench.paths, strengths, strict=True)
        ],
        "method": how.method,
        "ranks": ranks_of(found),
    }
    return Edited(found, fields=fields, measured=partial(lost, found, bench.read))


def _rank_of(members: Sequence[_Member], how: Combination) -> int:
    ranks = [_factors(member).down.shape[0] for member in members]
    return how.rank or max(ranks)


def _summed(members: Sequence[_Member], how: Combination) -> Delta:
    total = _concatenated(members)
    if how.rank is None and how.method != "svd":
        return total
    rank = _rank_of(members, how)
    return resized(total, product_of(total, "combined"), rank)


def _concatenated(members: Sequence[_Member]) -> Delta:
    """The exact sum: factors side by side. One strength that all share stays beside them, as scale."""
    delta = members[0].delta
    if len(members) == 1:
        return scaled(delta, members[0].times)
    products = [_factors(member) for member in members]
    shapes = {product.shape for product in products}
    if len(shapes) > 1:
        raise ShapeError(delta.label, f"changes weights of {' and '.join(map(str, shapes))}")
    strength = members[0].strength
    dtype = common(factor.dtype for product in products for factor in (product.up, product.down))
    total = sum(product.down.shape[0] for product in products)
    ups: list[Expr] = []
    left = 0
    for member, product in zip(members, products, strict=True):
        up = times(product.up, member.strength / strength)
        dtype = common((dtype, up.dtype))
        width = product.down.shape[0]
        ups.append(padded(up, left, total - left - width))
        left += width
    tensors = {
        "down": stack(*(cast(product.down, dtype) for product in products)),
        "up": cast(reduce(Sum, ups), dtype),
        **_bias(members, strength, dtype),
    }
    return delta._replace(tensors=tensors, scale=Scale(strength * total, total))


def _factors(member: _Member) -> Product:
    """The product without its strength; 1×1 convolutions as matrices."""
    delta = member.delta
    if delta.algorithm != "lora":
        raise NotExpressibleError(
            f"{delta.label}: a {delta.algorithm} cannot be combined with others",
            why="its effect is not a sum: it depends on the base and on what else is added",
            hint="lora-convert merge A B --into BASE merges one after the other",
        )
    found = product_of(delta, "combined")
    if found.down.shape[2:] != (1, 1):
        return found
    up, down = (reshaped(factor, factor.shape[:2]) for factor in (found.up, found.down))
    return Product(up, down, 1.0)


def _bias(members: Sequence[_Member], strength: float, dtype: str) -> dict[str, Expr]:
    """The sum of trained biases, over the strength that the whole has."""
    biases = [
        times(member.delta.tensors["bias"], member.strength / strength)
        for member in members
        if "bias" in member.delta.tensors
    ]
    return {"bias": cast(reduce(Sum, biases), dtype)} if biases else {}


def _pruned(members: Sequence[_Member], how: Combination) -> Delta:
    """The ΔW that ties or dare makes, cut to a rank; biases are summed as they are."""
    delta = members[0].delta
    changes: list[Expr] = [
        Product(product.up, product.down, member.strength)
        for member, product in zip(members, map(_factors, members), strict=True)
    ]
    rank = _rank_of(members, how)
    dtype = common(
        member.delta.tensors[role].dtype for member in members for role in ("up", "down")
    )
    if how.method == "ties":
        whole: Expr = Elected(tuple(changes), how.density)
    else:
        places = ((how.seed, crc32(delta.label.encode()), at) for at in range(len(changes)))
        kept: list[Expr] = [
            Dropped(change, how.density, seed)
            for change, seed in zip(changes, places, strict=False)
        ]
        whole = reduce(Sum, kept)
    tensors = {**cut(whole, rank, dtype), **_bias(members, 1.0, dtype)}
    return delta._replace(tensors=tensors, scale=Scale(rank, rank))
