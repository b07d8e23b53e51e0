"""Count which keys each spelling reads, group by group, before any is read in full."""

from __future__ import annotations

from typing import NamedTuple

from lora_convert.architectures import ARCHITECTURES, skeleton
from lora_convert.conversion.spelling import Spelling, spelling
from lora_convert.formats import FORMATS

_TELLING = 6
"""Letters of a root that is looked for; shorter ones are in every other name."""


class Candidate(NamedTuple):
    """A format and an architecture, and how many keys they explain together."""

    format: str
    architecture: str | None
    explained: int


class Group(NamedTuple):
    """Keys that look alike with their numbers abstracted."""

    text: str
    members: list[tuple[str, tuple[str, ...]]]
    """Keys with their numbers."""


class Count(NamedTuple):
    """How many keys a spelling reads, and how many of those are of foreign algorithms."""

    spelling: Spelling
    read: int
    foreign: int
    base: int

    @property
    def candidate(self) -> Candidate:
        """The same, for people."""
        told = self.spelling.architecture is not None or self.spelling.format.separator == "."
        # the alphas beside foreign tensors belong to their algorithm
        explained = self.read + self.base if told and not self.foreign else 0
        return Candidate(self.spelling.format.name, self.spelling.name, explained)


def groups_of(keys: tuple[str, ...]) -> list[Group]:
    """Keys, by what they look like with their numbers abstracted."""
    groups: dict[str, Group] = {}
    for key in keys:
        text, digits = skeleton(key)
        if text not in groups:
            groups[text] = Group(text, [])
        groups[text].members.append((key, digits))
    return list(groups.values())


def counts_of(groups: list[Group], architecture: str | None, *, wrapped: bool) -> list[Count]:
    """What each format and architecture reads of the keys, the most first."""
    names: list[str | None] = [architecture] if architecture else [*_showing(groups), None]
    counts = []
    for format_ in FORMATS.values():
        for name in names:
            count = _count(spelling(format_.name, name), groups, wrapped=wrapped)
            if count.read:
                counts.append(count)
    counts.sort(key=lambda count: (-count.read - count.base, count.spelling.architecture is None))
    return counts


def _showing(groups: list[Group]) -> list[str]:
    """Architectures of which some key shows a root; all where none does."""
    text = "\n".join(group.text for group in groups)
    shown = [
        name
        for name, architecture in ARCHITECTURES.items()
        if any(
            len(root) >= _TELLING and root in text
            for component in architecture.components
            for root in component.roots
        )
    ]
    return shown or list(ARCHITECTURES)


def _count(bound: Spelling, groups: list[Group], *, wrapped: bool) -> Count:
    read = foreign = base = 0
    for group in groups:
        recipes = bound.recipes(group.text)
        if not recipes:
            frozen = wrapped and bound.format.wrapped and bound.is_base(group.text)
            base += len(group.members) if frozen else 0
            continue
        fitting = sum(recipes.find(digits) is not None for _, digits in group.members)
        read += fitting
        foreign += fitting if recipes.foreign else 0
    return Count(bound, read, foreign, base)
