"""A base model's weights as an adapter changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lora_convert.algorithms import ALGORITHMS, factors_of
from lora_convert.architectures import fill, find
from lora_convert.errors import BaseMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lora_convert.adapter import Delta
    from lora_convert.architectures import Architecture
    from lora_convert.tensors.expr import Expr


Keys: TypeAlias = "Callable[[Delta], Iterable[str]]"
"""What the names of the tensors that a delta changes may begin with; ``weight`` and ``bias`` follow."""


class Merged(NamedTuple):
    """All weights of a component."""

    tensors: dict[str, Expr]
    changed: frozenset[str]
    """Names of those that the adapter changes."""


def merge(
    weights: Mapping[str, Expr],
    deltas: Iterable[Delta],
    keys: Keys,
    *,
    strength: float = 1.0,
    where: str = "the base",
) -> Merged:
    """`weights` with every delta added `strength` times; `keys` finds them.

    What is merged into weights that were merged before is rounded once, in the end. BaseMismatchError
    where a delta finds no weight, ShapeError where it finds one of another shape: the adapter belongs to
    another base, and nothing of it may be left out. `where` is for messages.
    """
    tensors = dict(weights)
    missing = []
    for delta in deltas:
        start = next((start for start in keys(delta) if f"{start}weight" in weights), None)
        if start is None:
            missing.append(delta.label)
            continue
        base = {
            role: weights[f"{start}{role}"]
            for role in ("weight", "bias")
            if f"{start}{role}" in weights
        }
        factors = factors_of(delta)
        algebra = ALGORITHMS[delta.algorithm].algebra
        for role, expr in algebra.merged(delta.label, base, factors, strength).items():
            tensors[f"{start}{role}"] = expr
    if missing:
        raise BaseMismatchError(where, missing)
    return Merged(
        tensors, frozenset(name for name in tensors if tensors[name] is not weights[name])
    )


def keys_of_pipeline(architecture: Architecture | None, delta: Delta) -> Iterator[str]:
    """What a pipeline's files may call a delta's module: Diffusers' name, or the class's."""
    yield f"{delta.module}."
    entry, digits = find(architecture, delta.module, delta.component)
    if entry is not None:
        numbers = entry.wildcards(digits)
        yield fill(entry.row.names("diffusers")[entry.member], numbers) + "."
        yield fill(entry.row.names("model")[entry.member], numbers) + "."
