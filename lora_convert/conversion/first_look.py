"""Which architectures a header may be of, before the table of any is imported."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import ARCHITECTURES, skeleton
from lora_convert.conversion.spelling import bodies_of, unwrapped
from lora_convert.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lora_convert.conversion.recipes import Group

_JOINTS = str.maketrans("./:", "___")

_NEARLY = 0.9
"""Share of the keys of the architecture with most, from which another is worth a trial."""


class _Seen(NamedTuple):
    """A module that an architecture has, and the keys that look as if they were its."""

    architecture: str
    module: str
    """Its skeleton."""
    first: int
    """How many of the keys' numbers stand before the module's."""
    body: str


def likely(groups: list[Group]) -> list[str]:
    """The architectures that have most of the names: by their looks, then by the numbers in them."""
    bodies: dict[str, list[Group]] = {}
    for group in groups:
        for body in bodies_of(unwrapped(group.text)):
            bodies.setdefault(body, []).append(group)
    seen = [one for body in bodies for one in _owners_of(body)]
    sizes = {body: sum(len(group.keys) for group in found) for body, found in bodies.items()}
    names = _most(seen, {one: sizes[one.body] for one in seen})
    if len(names) < 2:
        return names
    columns = {body: _columns(found) for body, found in bodies.items()}
    left = [one for one in seen if one.architecture in names]
    return _most(left, {one: _fitting(one, columns[one.body], sizes[one.body]) for one in left})


def _most(seen: list[_Seen], sizes: Mapping[_Seen, float]) -> list[str]:
    """The architectures with most keys, or nearly as many, in the order of their registry."""
    best: dict[tuple[str, str], float] = {}
    for one in seen:
        of = one.architecture, one.body
        best[of] = max(best.get(of, 0), sizes[one])
    shown: dict[str, float] = {}
    for (name, _), size in best.items():
        shown[name] = shown.get(name, 0) + size
    enough = _NEARLY * max(shown.values(), default=0)
    return [name for name in ARCHITECTURES if shown.get(name, 0) >= enough > 0]


def _columns(groups: list[Group]) -> list[Counter[str]]:
    """How often modules of one name have each number, by its place."""
    known = {id(group.stems): group.stems.numbers for group in groups}
    numbers = [digits for one in known.values() for digits in one]
    return [Counter(column) for column in zip(*numbers, strict=False)]


def _fitting(one: _Seen, columns: list[Counter[str]], size: int) -> float:
    """How many of `size` keys can be of a module at most, by the numbers that it may have."""
    from lora_convert.architectures._numbers import NUMBERS

    known = NUMBERS.get(one.module, {}).get(one.architecture, ())
    allowed = zip(known, columns[one.first :], strict=False)
    shares = (sum(column[n] for n in t.split()) / column.total() for t, column in allowed if t)
    return size * min(shares, default=1)


@cache
def openings(format_name: str) -> tuple[str, ...]:
    """What keys of a format begin with, numbers abstracted."""
    return tuple({skeleton(text)[0] for text in FORMATS[format_name].openings()})


@cache
def _openings_of(formats: tuple[str, ...]) -> tuple[tuple[int, frozenset[str]], ...]:
    """By their lengths."""
    found: dict[int, set[str]] = {}
    for opening in (one for name in formats for one in openings(name)):
        found.setdefault(len(opening), set()).add(opening)
    return tuple((length, frozenset(same)) for length, same in found.items())


def _owners_of(body: str) -> Iterator[_Seen]:
    """The architectures that have a module of that name, after any prefix that a format has.

    ``transformer.blocks`` may be a component and its blocks, or ``transformer_blocks``.
    """
    from lora_convert.architectures._owners import OWNERS

    flat = body.translate(_JOINTS)
    for length, known in _openings_of(tuple(FORMATS)):
        if body[:length] in known:
            module = flat[length:]
            for name in OWNERS.get(module, "").split():
                yield _Seen(name, module, body.count("#", 0, length), body)
