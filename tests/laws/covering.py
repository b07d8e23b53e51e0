"""Few cases in which every two things meet that can: faults of the engine come from two things meeting.

All combinations are `python -m tests.laws.matrix`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product

Case = tuple[str, ...]
Pair = tuple[tuple[int, str], ...]


def pairwise(*axes: Iterable[str]) -> list[Case]:
    """A small list of cases, one value of each axis in each, with every pair of values in some."""
    return covering(product(*axes))


def covering(cases: Iterable[Case]) -> list[Case]:
    """Some of `cases`, in which all pairs of values stand together that do in any of them."""
    sharing: dict[Pair, list[Case]] = {}
    for case in cases:
        for pair in _pairs(case):
            sharing.setdefault(pair, []).append(case)
    open_pairs = set(sharing)
    chosen: list[Case] = []
    # the rarest first: common ones are closed by them on the way
    for pair in sorted(sharing, key=lambda one: (len(sharing[one]), one)):
        if pair in open_pairs:
            chosen.append(max(sharing[pair], key=lambda case: len(open_pairs & _pairs(case))))
            open_pairs -= _pairs(chosen[-1])
    return sorted(chosen)


def _pairs(case: Case) -> set[Pair]:
    return set(combinations(enumerate(case), 2))


def spread(*axes: Iterable[str]) -> list[Case]:
    """The values of the first axis, with those of the others in turn."""
    first, *others = (list(axis) for axis in axes)
    return [
        (value, *(other[turn % len(other)] for other in others)) for turn, value in enumerate(first)
    ]
