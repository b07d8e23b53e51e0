"""One module of several adapters: the sum of their ΔWs, or what TIES and DARE make of them."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args
from zlib import crc32

from lora_convert.adapter import Scale
from lora_convert.algorithms import ALGORITHMS, factors_of
from lora_convert.conversion.recast import addend, whole_shape
from lora_convert.errors import NotExpressibleError, OptionError, ShapeError
from lora_convert.operations.approximating import change_in, cut, resized
from lora_convert.operations.scale import scaled
from lora_convert.tensors.approximations import Dropped, Elected
from lora_convert.tensors.arithmetic import Product, Sum
from lora_convert.tensors.build import cast, padded, reshaped, stack, times
from lora_convert.tensors.dtypes import common

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lora_convert.adapter import Delta
    from lora_convert.architectures import Architecture
    from lora_convert.tensors.expr import Expr, Shape

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


class Member(NamedTuple):
    """What one adapter adds to a module."""

    delta: Delta
    times: float

    @property
    def strength(self) -> float:
        """How many times its ``up · down`` is added."""
        return self.delta.scale.value * self.times


def summed(members: Sequence[Member], how: Combination, architecture: Architecture | None) -> Delta:
    """What `members` make of their module together.

    NotExpressibleError where no delta is their sum and no rank is given for the nearest, and for members
    that add nothing of their own, unless one is alone and counts once; ShapeError where shapes differ.
    """
    exact = _exact(members) if how.method not in {"ties", "dare"} else None
    rank = how.rank or (_highest(members) if how.method not in {"linear", "concat"} else None)
    if exact is None:
        if rank is None:
            raise _without_rank(members)
        return _nearest(members, how, rank, architecture)
    own = ALGORITHMS[exact.algorithm].algebra.change(factors_of(exact))
    change = change_in(exact) if rank and own is not None else None
    return resized(exact, change, rank, architecture) if change and rank else exact


def _highest(members: Sequence[Member]) -> int | None:
    """The highest rank among them; None where one is no LoRA."""
    downs = [member.delta.tensors.get("down") for member in members]
    ranks = [down.shape[0] for down in downs if down is not None]
    return max(ranks) if len(ranks) == len(members) else None


def _without_rank(members: Sequence[Member]) -> NotExpressibleError:
    kinds = dict.fromkeys(ALGORITHMS[member.delta.algorithm].short for member in members)
    return NotExpressibleError(
        f"{members[0].delta.label}: {' and '.join(kinds)} together are none of them",
        why="their sum has more rank than either, and only a LoRA of some rank comes near it",
        hint="--method svd --rank R gives the nearest LoRA",
    )


def _exact(members: Sequence[Member]) -> Delta | None:
    """The sum where it has an algorithm of its own: of LoRAs, of differences, or of one delta alone."""
    first = members[0].delta
    if len(members) == 1:
        return scaled(first, members[0].times)
    for member in members:
        addend(member.delta)
    algorithms = {member.delta.algorithm for member in members}
    if algorithms == {"lora"}:
        return _side_by_side(members)
    if algorithms <= {"full", "norm"} and len(algorithms) == 1:
        roles = dict.fromkeys(role for member in members for role in member.delta.tensors)
        return first._replace(tensors=_added(members, roles, _dtype(members)))
    return None


def _side_by_side(members: Sequence[Member]) -> Delta:
    """Factors side by side. One strength that all share stays beside them, as scale."""
    delta = members[0].delta
    products = [_factors(member) for member in members]
    _check_alike(delta, [product.shape for product in products])
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
        **_added(members, ("diff_b",), dtype),
        **_biases(members, strength, dtype),
    }
    return delta._replace(tensors=tensors, scale=Scale(strength * total, total))


def _check_alike(delta: Delta, shapes: Iterable[Shape]) -> None:
    different = {*shapes}
    if len(different) > 1:
        raise ShapeError(delta.label, f"changes weights of {' and '.join(map(str, different))}")


def _factors(member: Member) -> Product:
    """The product without its strength; 1×1 convolutions as matrices."""
    change = change_in(member.delta)
    assert change is not None
    assert isinstance(change.of, Product)
    up, down = change.of.up, change.of.down
    if down.shape[2:] != (1, 1):
        return change.of
    return Product(reshaped(up, up.shape[:2]), reshaped(down, down.shape[:2]), 1.0)


def _biases(members: Sequence[Member], strength: float, dtype: str) -> dict[str, Expr]:
    """The sum of trained biases that have a scale, over the strength that the whole has."""
    biases = [
        times(member.delta.tensors["bias"], member.strength / strength)
        for member in members
        if "bias" in member.delta.tensors
    ]
    return {"bias": cast(reduce(Sum, biases), dtype)} if biases else {}


def _added(members: Sequence[Member], roles: Iterable[str], dtype: str) -> dict[str, Expr]:
    """The sums of tensors without a scale, role by role."""
    summed_: dict[str, Expr] = {}
    for role in roles:
        parts = [
            times(member.delta.tensors[role], member.times)
            for member in members
            if role in member.delta.tensors
        ]
        _check_alike(members[0].delta, (part.shape for part in parts))
        if parts:
            summed_[role] = cast(reduce(Sum, parts), dtype)
    return summed_


def _dtype(members: Sequence[Member]) -> str:
    return common(tensor.dtype for member in members for tensor in member.delta.tensors.values())


def _nearest(
    members: Sequence[Member], how: Combination, rank: int, architecture: Architecture | None
) -> Delta:
    """The LoRA of a rank that is nearest to what a method makes of all ΔWs; biases are summed."""
    delta = members[0].delta
    changes = [addend(member.delta) for member in members]
    if any(len(change.shape) < 2 for change in changes):
        raise _without_rank(members)
    shapes = [
        whole_shape(member.delta, change, architecture)
        for member, change in zip(members, changes, strict=True)
    ]
    _check_alike(delta, ((shape[0], prod(shape[1:])) for shape in shapes))
    shape = max(shapes, key=len)
    parts = [
        reshaped(times(change, member.times), (shape[0], prod(shape[1:])))
        for member, change in zip(members, changes, strict=True)
    ]
    dtype = _dtype(members)
    tensors = {
        **cut(reshaped(_made_of(parts, how, delta.label), shape), rank, dtype),
        **_added(members, ("diff_b",), dtype),
        **_biases(members, 1.0, dtype),
    }
    return delta._replace(algorithm="lora", tensors=tensors, scale=Scale(rank, rank), settings={})


def _made_of(parts: Sequence[Expr], how: Combination, label: str) -> Expr:
    if how.method == "ties":
        return Elected(tuple(parts), how.density)
    if how.method == "dare":
        places = ((how.seed, crc32(label.encode()), at) for at in range(len(parts)))
        kept: Iterable[Expr] = (
            Dropped(part, how.density, at) for part, at in zip(parts, places, strict=False)
        )
        return reduce(Sum, kept)
    return reduce(Sum, parts)
