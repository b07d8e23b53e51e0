"""An adapter in another namespace: rename, split, fuse, swap halves, as the architecture's rows say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lora_convert.algorithms import ALGORITHMS, Factors, Part
from lora_convert.architectures import Architecture, Row, fill, find
from lora_convert.errors import AmbiguousCheckpointError, NotExpressibleError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.adapter import Adapter, Delta, Namespace
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr


class _Place(NamedTuple):
    """A module of a row: what a delta's name means."""

    component: str
    row: Row
    member: int | None
    """Index among the row's Diffusers modules; None for the native one."""
    numbers: tuple[str, ...]


def translate(
    adapter: Adapter, architecture: Architecture | None, namespace: Namespace, facts: Facts
) -> Adapter:
    """`adapter` with every module named as `namespace` does.

    Without an architecture, names stay as they are.
    """
    if architecture is None:
        return adapter._replace(
            deltas=tuple(delta._replace(namespace=namespace) for delta in adapter.deltas)
        )
    placed = [(_place(delta, architecture), delta) for delta in adapter.deltas]
    if namespace == "native":
        deltas = _to_native(placed, facts)
    else:
        deltas = [
            new for place, delta in placed for new in _from_row(place, delta, namespace, facts)
        ]
    _refuse_doubles(deltas)
    return adapter._replace(deltas=tuple(deltas))


def _place(delta: Delta, architecture: Architecture) -> _Place:
    entry, digits = find(architecture, delta.module, delta.component)
    if entry is None:
        raise ShapeError(delta.module, f"is not a module of {architecture.title}")
    native = delta.namespace == "native"
    return _Place(
        entry.component, entry.row, None if native else entry.member, entry.wildcards(digits)
    )


def _from_row(place: _Place, delta: Delta, namespace: Namespace, facts: Facts) -> list[Delta]:
    """The Diffusers modules of a delta."""
    names = [fill(pattern, place.numbers) for pattern in place.row.names(namespace)]
    if place.member is not None:
        return [delta._replace(module=names[place.member], namespace=namespace)]
    if len(names) == 1 and not place.row.halves_swapped:
        return [delta._replace(module=names[0], namespace=namespace)]
    height = _height(delta.tensors)
    if place.row.halves_swapped:
        ranges = [[(height // 2, height), (0, height // 2)]]
    else:
        ranges = [[bounds] for bounds in _bounds(place.row, height, delta)]
    factors = Factors(delta.tensors, delta.scale)
    take = ALGORITHMS[delta.algorithm].algebra.take_rows
    return [
        _with(delta, take(delta.module, factors, wanted, facts))._replace(
            module=name, namespace=namespace
        )
        for name, wanted in zip(names, ranges, strict=True)
    ]


def _height(tensors: Mapping[str, Expr]) -> int:
    return tensors["up"].shape[0]


def _bounds(row: Row, height: int, delta: Delta) -> list[tuple[int, int]]:
    total = sum(row.ratio)
    if height % total:
        raise ShapeError(
            delta.module, f"{height} rows cannot be parted as {':'.join(map(str, row.ratio))}"
        )
    bounds, top = [], 0
    for share in row.ratio:
        bottom = top + share * (height // total)
        bounds.append((top, bottom))
        top = bottom
    return bounds


def _with(delta: Delta, factors: Factors) -> Delta:
    return delta._replace(tensors=factors.tensors, scale=factors.scale)


def _to_native(placed: list[tuple[_Place, Delta]], facts: Facts) -> list[Delta]:
    groups: dict[tuple[str, str], list[tuple[_Place, Delta]]] = {}
    for place, delta in placed:
        key = (place.component, fill(place.row.native, place.numbers))
        groups.setdefault(key, []).append((place, delta))
    return [_native(name, members, facts) for (_, name), members in groups.items()]


def _native(name: str, members: list[tuple[_Place, Delta]], facts: Facts) -> Delta:
    """The one native delta that Diffusers' modules of a row make."""
    place, delta = members[0]
    row = place.row
    if len({member.member for member, _ in members}) != len(members):
        raise AmbiguousCheckpointError(
            f"{name}: given more than once", choices=[d.module for _, d in members]
        )
    if place.member is None:
        if len(members) > 1:
            raise AmbiguousCheckpointError(
                f"{name}: given fused and in parts", choices=[d.module for _, d in members]
            )
        return delta._replace(module=name, namespace="native")
    if row.halves_swapped:
        height = _height(delta.tensors)
        take = ALGORITHMS[delta.algorithm].algebra.take_rows
        ranges = [(height // 2, height), (0, height // 2)]
        factors = take(name, Factors(delta.tensors, delta.scale), ranges, facts)
    elif len(row.diffusers) == 1:
        factors = Factors(delta.tensors, delta.scale)
    else:
        factors = _fused(name, row, members, facts)
    return _with(delta, factors)._replace(module=name, namespace="native")


def _fused(name: str, row: Row, members: list[tuple[_Place, Delta]], facts: Facts) -> Factors:
    by_member = {place.member: delta for place, delta in members}
    algorithms = {delta.algorithm for delta in by_member.values()}
    if len(algorithms) > 1:
        raise NotExpressibleError(
            f"{name}: its parts mix {' and '.join(sorted(algorithms))}",
            why="they are one module there, which has one algorithm",
            hint="lora-convert pipeline merges it into a Diffusers base, where they stay apart",
        )
    units = {_height(delta.tensors) / row.ratio[member or 0] for member, delta in by_member.items()}
    if len(units) > 1:
        raise ShapeError(name, "the heights of its parts do not fit together")
    unit = int(units.pop())
    parts = []
    for member, share in enumerate(row.ratio):
        delta = by_member.get(member)
        factors = Factors(delta.tensors, delta.scale) if delta else None
        parts.append(Part(factors, share * unit))
    return ALGORITHMS[algorithms.pop()].algebra.stack_rows(name, parts, facts)


def _refuse_doubles(deltas: list[Delta]) -> None:
    seen: set[tuple[str, str]] = set()
    for delta in deltas:
        if (delta.component, delta.module) in seen:
            raise AmbiguousCheckpointError(
                f"{delta.label}: given more than once, under different names",
                hint="remove one of the two from the file",
            )
        seen.add((delta.component, delta.module))
