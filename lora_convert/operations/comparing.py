"""Compare two adapters by the effective ΔW of every module, without ever building it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isclose
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.algorithms import ALGORITHMS, NEUTRAL, Factors
from lora_convert.tensors.arithmetic import Product
from lora_convert.tensors.build import cast, reshaped, shifted
from lora_convert.tensors.dtypes import FLOATS
from lora_convert.tensors.expr import Zeros
from lora_convert.tensors.norms import difference, finite_and_zero, product_difference

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter, Delta
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr
    from lora_convert.tensors.ranges import Range

_ROUNDING = {"F64": 1e-12, "F32": 1e-6, "F16": 1e-3, "BF16": 4e-3}
"""Largest relative difference that rounding both factors to a dtype explains."""
_COARSE = 0.15
"""The same for eight bits."""


class Difference(NamedTuple):
    """How far one module's ΔW is from another's."""

    module: str
    exact: bool
    """Same bytes and same scale, or equal products."""
    relative: float
    """Frobenius norm of the difference over that of the first; infinite where one is missing."""
    allowed: float
    """What rounding explains, for the dtypes involved."""
    reason: str = ""
    """Why they differ, where more can be said than a number."""

    @property
    def equal(self) -> bool:
        """Whether the two act alike."""
        return self.relative <= self.allowed


class Comparison(NamedTuple):
    """Differences of all modules of two adapters."""

    differences: tuple[Difference, ...]

    @property
    def worst(self) -> Difference | None:
        """The largest difference."""
        return max(self.differences, key=lambda d: d.relative, default=None)

    @property
    def exact(self) -> bool:
        """Whether every module is bit-exact."""
        return all(difference.exact for difference in self.differences)

    @property
    def equal(self) -> bool:
        """Whether every module acts alike."""
        return all(difference.equal for difference in self.differences)


def compare(
    first: Adapter, second: Adapter, facts: Facts, read: Callable[[Range], bytes]
) -> Comparison:
    """Compare adapters of one namespace, whose expressions `read` can resolve."""
    ours, theirs = _by_place(first), _by_place(second)
    labels = dict.fromkeys((*ours, *theirs))
    return Comparison(
        tuple(
            _difference(label, ours.get(label), theirs.get(label), facts, read) for label in labels
        )
    )


def _by_place(adapter: Adapter) -> dict[str, Delta]:
    return {delta.label: delta for delta in adapter.deltas}


def _difference(
    label: str, one: Delta | None, other: Delta | None, facts: Facts, read: Callable[[Range], bytes]
) -> Difference:
    if one is None or other is None:
        present = one or other
        assert present is not None
        nothing = _is_zero(present, read)
        where = "only in the first" if one else "only in the second"
        return Difference(
            label, nothing, 0.0 if nothing else float("inf"), 0.0, "" if nothing else where
        )
    if any(_unlike(one, other)):
        return Difference(label, False, float("inf"), 0.0, ", ".join(_unlike(one, other)))
    same = one.algorithm == other.algorithm and _same_tensors(one.tensors, other.tensors, facts)
    if same and one.scale.value == other.scale.value:
        return Difference(label, one.settings == other.settings, 0.0, 0.0)
    ours, theirs = _parts(one), _parts(other)
    unlike = {name for name in ours.keys() ^ theirs.keys() if name not in NEUTRAL}
    if unlike or (one.algorithm != other.algorithm and "change" not in ours.keys() & theirs.keys()):
        return Difference(
            label, False, float("inf"), 0.0, f"{one.algorithm} against {other.algorithm}"
        )
    reason = f"scale {one.scale.value:g} against {other.scale.value:g}" if same else ""
    relative = max(
        _relative(name, ours.get(name), theirs.get(name), read)
        for name in ours.keys() | theirs.keys()
    )
    # the same bytes have not been rounded: only their scales differ
    allowed = _ROUNDING["F32"] if same else _allowed(one, other)
    return Difference(label, relative == 0.0, relative, allowed, reason)


def _unlike(one: Delta, other: Delta) -> Iterator[str]:
    """Settings that are not the same, as far as fp32 can hold them."""
    for name in sorted(one.settings.keys() | other.settings.keys()):
        ours, theirs = (delta.settings.get(name, 0.0) for delta in (one, other))
        if not isclose(ours, theirs, rel_tol=_ROUNDING["F32"]):
            yield f"{name} {ours:g} against {theirs:g}"


def _same_tensors(one: Mapping[str, Expr], other: Mapping[str, Expr], facts: Facts) -> bool:
    if one.keys() != other.keys():
        return False
    return all(facts.same(_squeezed(one[role]), _squeezed(other[role])) for role in one)


def _squeezed(expr: Expr) -> Expr:
    """A factor as a matrix, where its shape allows: 1×1 convolutions act as linear layers do."""
    return reshaped(expr, expr.shape[:2]) if expr.shape[2:] == (1, 1) else expr


def _parts(delta: Delta) -> dict[str, Expr]:
    """What acts, from factors in float64."""
    wide = {role: cast(t, "F64") for role, t in delta.tensors.items() if t.dtype in FLOATS}
    factors = Factors(wide, delta.scale, delta.settings)
    return ALGORITHMS[delta.algorithm].algebra.parts(factors)


def _is_zero(delta: Delta, read: Callable[[Range], bytes]) -> bool:
    """Whether a delta does nothing to any base."""
    parts = _parts(delta)
    if not parts.keys() <= NEUTRAL.keys():
        return False
    factors = [delta.tensors[role] for role in ("up", "down") if role in delta.tensors]
    if "bias" not in parts and any(finite_and_zero(factor, read)[1] for factor in factors):
        return True
    return all(
        finite_and_zero(shifted(part, -NEUTRAL[name]), read)[1] for name, part in parts.items()
    )


def _relative(
    name: str, one: Expr | None, other: Expr | None, read: Callable[[Range], bytes]
) -> float:
    """How far one part is from another; one that is not there does nothing."""
    if isinstance(one, Product) and isinstance(other, Product):
        return product_difference(one, other, read)
    present = one if one is not None else other
    assert present is not None
    nothing = shifted(Zeros("F64", present.shape), NEUTRAL.get(name, 0.0))
    return difference(nothing if one is None else one, nothing if other is None else other, read)


def _allowed(one: Delta, other: Delta) -> float:
    """What rounding to the coarsest dtype among the factors explains."""
    tensors = (tensor for delta in (one, other) for tensor in delta.tensors.values())
    return max(_ROUNDING.get(t.dtype, _COARSE) for t in tensors if t.dtype in FLOATS)
