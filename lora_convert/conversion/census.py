"""Count which keys each spelling reads, group by group, before any is read in full."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import skeleton
from lora_convert.conversion.first_look import likely, openings
from lora_convert.conversion.recipes import Group, Shown, Stems
from lora_convert.conversion.spelling import Spelling, spelling, unwrapped
from lora_convert.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_convert.architectures import Digits
    from lora_convert.conversion.recipes import Names, Part, Parted, Way

_ENDING = 2
"""Words at the end of a key that mostly are its ending."""


class Candidate(NamedTuple):
    """A format and an architecture, and how many keys they explain together."""

    format: str
    architecture: str | None
    explained: int


class Count:
    """How many keys a spelling reads, and how many of those are of foreign algorithms."""

    def __init__(self, bound: Spelling, groups: list[Group], *, wrapped: bool) -> None:
        """`wrapped` says whether the keys of a whole wrapped model's frozen weights are among them."""
        self.spelling = bound
        self.read = self.foreign = self.base = 0
        self._used: list[tuple[Way, Part, Parted, Digits]] = []
        known: dict[tuple[Names, Stems], tuple[Parted, ...]] = {}
        for group in groups:
            ways = bound.ways(group.text)
            if not ways:
                frozen = wrapped and bound.format.wrapped and bound.is_base(group.text)
                self.base += len(group.keys) if frozen else 0
            for way in ways:
                part = group.part(way)
                if part is None:
                    continue
                asked = way.names, part.stems
                if asked not in known:
                    known[asked] = way.names.parted(part.stems)
                for parted in known[asked]:
                    self._used.append((way, part, parted, group.last))
                    self.read += len(parted.places)
                    self.foreign += len(parted.places) if way.foreign else 0

    @cached_property
    def shown(self) -> list[Shown]:
        """The keys that it reads, by how it reads them."""
        return [
            Shown(way.recipe(parted.name, last), part.chosen(parted.places), parted)
            for way, part, parted, last in self._used
        ]

    @property
    def rank(self) -> tuple[int, ...]:
        """By which it is compared with the counts of other spellings."""
        return self.read, self.foreign, self.base

    @property
    def candidate(self) -> Candidate:
        """The same, for people."""
        told = self.spelling.architecture is not None or self.spelling.format.separator == "."
        # the alphas beside foreign tensors belong to their algorithm
        explained = self.read + self.base if told and not self.foreign else 0
        return Candidate(self.spelling.format.name, self.spelling.name, explained)


def groups_of(keys: Iterable[str]) -> list[Group]:
    """Keys, by what they look like with their numbers abstracted.

    Modules have several keys, so they are taken together first.
    """
    modules: dict[str, list[str]] = {}
    for key in keys:
        modules.setdefault(key.rsplit(".", _ENDING)[0], []).append(key)
    looks: dict[tuple[str, tuple[str, ...]], tuple[list[Digits], list[list[str]]]] = {}
    for stem, own in modules.items():
        text, digits = skeleton(stem)
        look = text, tuple([key[len(stem) :] for key in own])
        if look not in looks:
            looks[look] = [], [[] for _ in own]
        looks[look][0].append(digits)
        for column, key in zip(looks[look][1], own, strict=True):
            column.append(key)
    groups = []
    for (text, endings), (numbers, columns) in looks.items():
        stems = Stems(numbers)
        for ending, column in zip(endings, columns, strict=True):
            tail, last = skeleton(ending)
            groups.append(Group(text + tail, column, stems, last))
    return groups


def counts_of(groups: list[Group], architecture: str | None, *, wrapped: bool) -> list[Count]:
    """What each format and architecture reads of the keys, the most first.

    Formats that are only read gather what others write, so they are asked where no other explains all.
    """
    names: list[str | None] = [architecture] if architecture else [None, *likely(groups)]
    counts: list[Count] = []
    beginnings = {group.text for group in groups} | {unwrapped(group.text) for group in groups}
    total = sum(len(group.keys) for group in groups)
    for format_ in FORMATS.values():
        whole = any(count.read + count.base == total for count in counts)
        opens = any(text.startswith(openings(format_.name)) for text in beginnings)
        if not opens or (whole and not format_.written):
            continue
        for name in names:
            count = Count(spelling(format_.name, name), groups, wrapped=wrapped)
            if count.read:
                counts.append(count)
            elif name is None and not format_.variations:
                break  # what reads no names reads those of no architecture
    counts.sort(key=lambda count: (-count.read - count.base, count.spelling.architecture is None))
    return counts
