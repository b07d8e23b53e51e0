"""An adapter in another namespace: rename, split, fuse, shuffle rows, as the architecture's rows say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lora_convert.algorithms import ALGORITHMS, Part, factors_of, with_factors
from lora_convert.architectures import AUTHORS, Architecture, Row, fill, find_all, skeleton
from lora_convert.errors import AmbiguousCheckpointError, NotExpressibleError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_convert.adapter import Adapter, Delta, Namespace
    from lora_convert.algorithms import Factors
    from lora_convert.facts import Facts


class _Place(NamedTuple):
    """A module of a row: what a delta's name means."""

    component: str
    row: Row
    member: int | None
    """Index among the row's Diffusers modules; None for the native one."""
    numbers: tuple[str, ...]

    def names(self, namespace: Namespace, module: str) -> list[str]:
        """What the row's modules are called; an error where there are none."""
        names = [fill(pattern, self.numbers) for pattern in self.row.names(namespace)]
        if not names:
            raise NotExpressibleError(
                f"{module} is not a module of the model that has the names to be written",
                hint="leave that module out of the file, or keep its names",
            )
        return names


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
    placed = [(_place(delta, architecture, adapter), delta) for delta in adapter.deltas]
    if namespace in AUTHORS:
        placed = [
            known
            for place, delta in placed
            for known in _without_slices(place, delta, architecture, adapter, facts)
        ]
        deltas = _to_native(placed, namespace, facts)
    else:
        deltas = [
            new for place, delta in placed for new in _from_row(place, delta, namespace, facts)
        ]
    _refuse_doubles(deltas)
    return adapter._replace(deltas=tuple(deltas))


def _place(delta: Delta, architecture: Architecture, adapter: Adapter) -> _Place:
    found = list(find_all(architecture, delta.module, delta.component))
    if not found:
        raise ShapeError(delta.module, f"is not a module of {architecture.title}")
    entry, digits = found[0]
    if entry.row.growth:
        growth = _growth(delta, adapter)
        entry = min((entry for entry, _ in found), key=lambda one: abs(one.row.growth - growth))
    native = delta.namespace in AUTHORS
    return _Place(
        entry.component, entry.row, None if native else entry.member, entry.wildcards(digits)
    )


def _from_row(place: _Place, delta: Delta, namespace: Namespace, facts: Facts) -> list[Delta]:
    """The Diffusers modules of a delta."""
    names = place.names(namespace, delta.module)
    if place.member is not None:
        return [delta._replace(module=names[place.member], namespace=namespace)]
    if place.row.order == (0,):
        return [delta._replace(module=names[0], namespace=namespace)]
    unit = _unit(place.row, _height(delta), delta.module)
    factors = factors_of(delta)
    take = ALGORITHMS[delta.algorithm].algebra.take_rows
    return [
        with_factors(delta, take(delta.module, factors, _ranges(chunks, unit), facts))._replace(
            module=name, namespace=namespace
        )
        for name, chunks in zip(names, place.row.chunks, strict=True)
    ]


def _without_slices(
    place: _Place, delta: Delta, architecture: Architecture, adapter: Adapter, facts: Facts
) -> list[tuple[_Place, Delta]]:
    """The same; of a part that only some tools have a name for, the Diffusers modules it is made of."""
    component = architecture.component(place.component)
    if component is None or place.row not in component.slices:
        return [(place, delta)]
    parts = _from_row(place, delta, "diffusers", facts)
    return [(_place(part, architecture, adapter), part) for part in parts]


def _height(delta: Delta) -> int:
    """Rows of a delta; 0 where it is the same for any number of rows."""
    return ALGORITHMS[delta.algorithm].algebra.shape(delta.tensors)[0]


def _growth(delta: Delta, adapter: Adapter) -> float:
    """Outputs an input; where factors tell outputs alone, many for the tallest block's, none for others."""
    shape = ALGORITHMS[delta.algorithm].algebra.shape(delta.tensors)
    if len(shape) > 1 and all(shape[:2]):
        return shape[0] / shape[1]
    kind = skeleton(delta.module)[0]
    alike = (other for other in adapter.deltas if skeleton(other.module)[0] == kind)
    tallest = max(_height(other) for other in alike if other.component == delta.component)
    return float(shape[0]) if shape[0] == tallest else 0.0


def _unit(row: Row, height: int, module: str) -> int:
    """Rows of a chunk."""
    unit, rest = divmod(height, len(row.order))
    if rest:
        parts = ":".join(str(len(chunks)) for chunks in row.chunks)
        raise ShapeError(module, f"{height} rows cannot be parted as {parts}")
    return unit


def _ranges(chunks: Sequence[int], unit: int) -> list[tuple[int, int]]:
    """Rows of chunks, neighbours together."""
    ranges: list[tuple[int, int]] = []
    for chunk in chunks:
        start, stop = chunk * unit, (chunk + 1) * unit
        if ranges and ranges[-1][1] == start:
            start = ranges.pop()[0]
        ranges.append((start, stop))
    return ranges


def _to_native(
    placed: list[tuple[_Place, Delta]], namespace: Namespace, facts: Facts
) -> list[Delta]:
    groups: dict[tuple[str, str], list[tuple[_Place, Delta]]] = {}
    for place, delta in placed:
        (name,) = place.names(namespace, delta.module)
        groups.setdefault((place.component, name), []).append((place, delta))
    return [
        _native(name, members, facts)._replace(module=name, namespace=namespace)
        for (_, name), members in groups.items()
    ]


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
        return delta
    factors = factors_of(delta)
    if len(row.diffusers) > 1:
        factors = _fused(name, row, members, facts)
    order = row.order
    if list(order) != sorted(order):
        unit = _unit(row, _height(with_factors(delta, factors)), name)
        back = [order.index(chunk) for chunk in range(len(order))]
        take = ALGORITHMS[delta.algorithm].algebra.take_rows
        factors = take(name, factors, _ranges(back, unit), facts)
    return with_factors(delta, factors)


def _fused(name: str, row: Row, members: list[tuple[_Place, Delta]], facts: Facts) -> Factors:
    by_member = {place.member: delta for place, delta in members}
    algorithms = {delta.algorithm for delta in by_member.values()}
    if len(algorithms) > 1:
        raise NotExpressibleError(
            f"{name}: its parts mix {' and '.join(sorted(algorithms))}",
            why="they are one module there, which has one algorithm",
            hint="lora-convert pipeline merges it into a Diffusers base, where they stay apart",
        )
    units = {_height(delta) / len(row.chunks[member or 0]) for member, delta in by_member.items()}
    if len(units) > 1:
        raise ShapeError(name, "the heights of its parts do not fit together")
    unit = int(units.pop())
    parts = []
    for member, chunks in enumerate(row.chunks):
        delta = by_member.get(member)
        factors = factors_of(delta) if delta else None
        parts.append(Part(factors, len(chunks) * unit))
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
