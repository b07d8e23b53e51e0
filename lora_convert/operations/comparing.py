"""Compare two adapters by the effective ΔW of every module, without ever building it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.algorithms import Factors
from lora_convert.algorithms.lora import without_mid
from lora_convert.tensors.expr import Product, Zeros
from lora_convert.tensors.norms import product_difference, vector_difference

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
        nothing = present.algorithm == "lora" and _is_zero(present, read)
        where = "only in the first" if one else "only in the second"
        return Difference(
            label, nothing, 0.0 if nothing else float("inf"), 0.0, "" if nothing else where
        )
    if one.algorithm != other.algorithm:
        return Difference(
            label, False, float("inf"), 0.0, f"{one.algorithm} against {other.algorithm}"
        )
    same = _same_tensors(one.tensors, other.tensors, facts)
    if same and one.scale.value == other.scale.value:
        return Difference(label, True, 0.0, 0.0)
    reason = f"scale {one.scale.value:g} against {other.scale.value:g}" if same else ""
    relative = _relative(one, other, facts, read)
    # the same bytes have not been rounded: only their scales differ
    allowed = _ROUNDING["F32"] if same else _allowed(one, other)
    return Difference(label, relative == 0.0, relative, allowed, reason)


def _same_tensors(one: Mapping[str, Expr], other: Mapping[str, Expr], facts: Facts) -> bool:
    if one.keys() != other.keys():
        return False
    return all(facts.same(_squeezed(one[role]), _squeezed(other[role])) for role in one)


def _squeezed(expr: Expr) -> Expr:
    """A factor as a matrix, where its shape allows: 1×1 convolutions act as linear layers do."""
    from lora_convert.tensors.build import reshaped

    return reshaped(expr, expr.shape[:2]) if expr.shape[2:] == (1, 1) else expr


def _is_zero(delta: Delta, read: Callable[[Range], bytes]) -> bool:
    from lora_convert.tensors.evaluate import evaluate

    return not all(
        evaluate(delta.tensors[role], read).any()
        for role in ("up", "down")
        if role in delta.tensors
    )


def _relative(one: Delta, other: Delta, facts: Facts, read: Callable[[Range], bytes]) -> float:
    ours, theirs = (
        without_mid(Factors(one.tensors, one.scale)),
        without_mid(Factors(other.tensors, other.scale)),
    )
    relative = product_difference(
        Product(ours.tensors["up"], ours.tensors["down"], ours.scale.value),
        Product(theirs.tensors["up"], theirs.tensors["down"], theirs.scale.value),
        read,
    )
    magnitudes = one.tensors.get("magnitude"), other.tensors.get("magnitude")
    if magnitudes[0] is not None and magnitudes[1] is not None:
        relative = max(relative, vector_difference(magnitudes[0], magnitudes[1], (1.0, 1.0), read))
    biases = [delta.tensors.get("bias") for delta in (one, other)]
    if any(bias is not None for bias in biases):
        zeros = Zeros("F32", (ours.tensors["up"].shape[0],))
        first, second = (zeros if bias is None else bias for bias in biases)
        scales = ours.scale.value, theirs.scale.value
        relative = max(relative, vector_difference(first, second, scales, read))
    return relative


def _allowed(one: Delta, other: Delta) -> float:
    """What rounding to the coarsest dtype among the factors explains."""
    dtypes = {tensor.dtype for delta in (one, other) for tensor in delta.tensors.values()}
    return max(_ROUNDING.get(dtype, _COARSE) for dtype in dtypes)
