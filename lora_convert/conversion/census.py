"""Count which keys each spelling reads, group by group, before any is read in full."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import SKELETONS, skeleton
from lora_convert.conversion.spelling import Spelling, completed, spelling, unwrapped
from lora_convert.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.conversion.recipes import Members, Shown

_LONGEST_PREFIX = 6
"""Words that may stand before a module's name."""

_JOINTS = str.maketrans("./:", "___")

_NEARLY = 0.9
"""Share of the keys of the architecture with most, from which another is worth a trial."""


class Candidate(NamedTuple):
    """A format and an architecture, and how many keys they explain together."""

    format: str
    architecture: str | None
    explained: int


class Group(NamedTuple):
    """Keys that look alike with their numbers abstracted."""

    text: str
    members: Members


class Count(NamedTuple):
    """How many keys a spelling reads, and how many of those are of foreign algorithms."""

    spelling: Spelling
    read: int
    foreign: int
    base: int
    shown: list[Shown]
    """The keys that it reads, by how it reads them."""

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
    """What each format and architecture reads of the keys, the most first.

    Formats that are only read gather what others write, so they are asked where no other explains all.
    """
    names: list[str | None] = [architecture] if architecture else [None, *_showing(groups)]
    counts: list[Count] = []
    beginnings = {group.text for group in groups} | {unwrapped(group.text) for group in groups}
    total = sum(len(group.members) for group in groups)
    for format_ in FORMATS.values():
        whole = any(count.read + count.base == total for count in counts)
        opens = any(text.startswith(_openings(format_.name)) for text in beginnings)
        if not opens or (whole and not format_.written):
            continue
        for name in names:
            count = _count(spelling(format_.name, name), groups, wrapped=wrapped)
            if count.read:
                counts.append(count)
            elif name is None and not format_.variations:
                break  # what reads no names reads those of no architecture
    counts.sort(key=lambda count: (-count.read - count.base, count.spelling.architecture is None))
    return counts


@cache
def _openings(format_name: str) -> tuple[str, ...]:
    """What keys of a format begin with, numbers abstracted."""
    return tuple({skeleton(text)[0] for text in FORMATS[format_name].openings()})


def _showing(groups: list[Group]) -> list[str]:
    """The architectures that have most of the names, by a first look that imports none."""
    owners = _owners()
    shown: dict[str, int] = {}
    for group in groups:
        texts = (group.text, *completed(group.text))
        for name in {name for text in texts for name in _owners_of(text, owners)}:
            shown[name] = shown.get(name, 0) + len(group.members)
    enough = _NEARLY * max(shown.values(), default=0)
    return [name for name in SKELETONS if shown.get(name, 0) >= enough > 0]


@cache
def _owners() -> dict[str, list[str]]:
    """By a module's skeleton, words joined by underscores: the architectures that have it."""
    owners: dict[str, list[str]] = {}
    for name, text in SKELETONS.items():
        for module in text.split():
            owners.setdefault(module, []).append(name)
    return owners


def _owners_of(text: str, owners: Mapping[str, list[str]]) -> set[str]:
    """The architectures that have a module whose name stands in a key's skeleton, after any prefix.

    ``transformer.blocks`` may be a component and its blocks, or ``transformer_blocks``.
    """
    flat = text.translate(_JOINTS) + "_"
    ends = [at for at, letter in enumerate(flat) if letter == "_"]
    found: set[str] = set()
    for start in (0, *(end + 1 for end in ends[:_LONGEST_PREFIX])):
        names = (owners.get(flat[start:end]) for end in reversed(ends) if end > start)
        found.update(next(filter(None, names), ()))
    return found


def _count(bound: Spelling, groups: list[Group], *, wrapped: bool) -> Count:
    read = foreign = base = 0
    shown: list[Shown] = []
    for group in groups:
        recipes = bound.recipes(group.text)
        if not recipes:
            frozen = wrapped and bound.format.wrapped and bound.is_base(group.text)
            base += len(group.members) if frozen else 0
            continue
        used = recipes.used_by(group.members)
        fitting = sum(len(one.members) for one in used)
        read += fitting
        foreign += fitting if recipes.foreign else 0
        shown += used
    return Count(bound, read, foreign, base, shown)
