"""Cases that hold every pair of values of every two axes: faults of the engine come from two things meeting.

All combinations are `python -m tests.laws.matrix`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product


def pairwise(*axes: Iterable[str]) -> list[tuple[str, ...]]:
    """A small list of cases, one value of each axis in each, with every pair of values in some."""
    values = [list(axis) for axis in axes]
    open_pairs = {
        (one, other): set(product(values[one], values[other]))
        for one, other in combinations(range(len(values)), 2)
    }
    cases: list[tuple[str, ...]] = []
    for (one, other), pairs in open_pairs.items():
        for first, second in product(values[one], values[other]):
            if (first, second) in pairs:
                case = _filled({one: first, other: second}, values, open_pairs)
                for (left, right), rest in open_pairs.items():
                    rest.discard((case[left], case[right]))
                cases.append(case)
    return cases


def _filled(
    chosen: dict[int, str],
    values: Sequence[Sequence[str]],
    open_pairs: dict[tuple[int, int], set[tuple[str, str]]],
) -> tuple[str, ...]:
    """A case of these values, and on the other axes of those that close most open pairs."""

    def closes(axis: int, value: str) -> int:
        return sum(
            ((known, value) if at < axis else (value, known))
            in open_pairs[min(at, axis), max(at, axis)]
            for at, known in chosen.items()
        )

    for axis, choices in enumerate(values):
        if axis not in chosen:
            turn = len(chosen) + sum(map(len, open_pairs.values()))
            rotated = [*choices[turn % len(choices) :], *choices[: turn % len(choices)]]
            chosen[axis] = max(rotated, key=lambda value: closes(axis, value))
    return tuple(chosen[axis] for axis in range(len(values)))


def spread(*axes: Iterable[str]) -> list[tuple[str, ...]]:
    """The values of the first axis, with those of the others in turn."""
    first, *others = (list(axis) for axis in axes)
    return [
        (value, *(other[turn % len(other)] for other in others)) for turn, value in enumerate(first)
    ]
