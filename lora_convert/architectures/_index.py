"""Modules of an architecture, found by a name.

Names are compared with their numbers abstracted, so a row serves every depth.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lora_convert.architectures._vocabulary import NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.adapter import Namespace
    from lora_convert.architectures._vocabulary import Architecture, Component, Row

Digits: TypeAlias = tuple[str, ...]

_NUMBER = re.compile(r"([0-9]+)")
_NUMBER_OF_PATTERN = re.compile(r"([0-9]+|\{\})")


def skeleton(name: str) -> tuple[str, Digits]:
    """`name` with every number replaced by ``#``, and the numbers.

    >>> skeleton("blocks.12.norm1")
    ('blocks.#.norm#', ('12', '1'))
    """
    if "{" in name or "#" in name:
        parts = _NUMBER_OF_PATTERN.split(name.replace("#", "{#}"))
    else:
        parts = _NUMBER.split(name)
    return "#".join(parts[::2]), tuple(parts[1::2])


_known = cache(skeleton)
"""The same for tables, which families of models have in common."""


class Entry(NamedTuple):
    """A pattern of a row, found by its skeleton."""

    component: str
    row: Row
    member: int
    """Index among the row's Diffusers modules."""
    namespace: Namespace
    digits: Digits
    """Numbers the name must show; ``{}`` for any."""
    module: str = ""
    """The module, where the name is its number in a walk."""

    def fits(self, digits: Digits) -> bool:
        """Whether a name with these numbers is this module."""
        return all(want in ("{}", have) for want, have in zip(self.digits, digits, strict=True))

    def wildcards(self, digits: Digits) -> Digits:
        """The numbers at the places of ``{}``."""
        return tuple(have for want, have in zip(self.digits, digits, strict=True) if want == "{}")


def fill(pattern: str, numbers: Digits) -> str:
    """`pattern` with ``{}`` replaced by `numbers`, in order."""
    return pattern.format(*numbers)


_INDEXES: dict[tuple[int, str], tuple[Component, dict[str, tuple[Entry, ...]]]] = {}


def index(component: Component, separator: str) -> dict[str, tuple[Entry, ...]]:
    """A component's modules in every namespace, by skeleton, with names joined by `separator`.

    With ``:`` they are not named but numbered, by the component's walk.
    """
    # by identity: hashing a table of hundreds of rows costs more than the look-up it saves
    known = _INDEXES.get((id(component), separator))
    if known is None:
        known = _INDEXES[id(component), separator] = component, _indexed(component, separator)
    return known[1]


def _indexed(component: Component, separator: str) -> dict[str, tuple[Entry, ...]]:
    if separator == ":":
        return {"#": tuple(_numbered(component))}
    found: dict[str, list[Entry]] = {}
    for row in (*component.rows, *component.slices, *component.norms):
        for pattern, (member, namespace) in _spellings(row).items():
            text, digits = _known(pattern)
            key = text.replace(".", separator)
            entry = Entry(component.name, row, member, namespace, digits)
            found.setdefault(key, []).append(entry)
    return {key: tuple(entries) for key, entries in found.items()}


def _numbered(component: Component) -> Iterator[Entry]:
    names = index(component, ".")
    for number, module in enumerate(component.walk):
        text, digits = skeleton(module)
        entry = next(entry for entry in names[text] if entry.fits(digits))
        yield entry._replace(digits=(str(number),), module=module)


def _spellings(row: Row) -> dict[str, tuple[int, Namespace]]:
    """The patterns by which a row is known: each once, with the first namespace that has it."""
    seen: dict[str, tuple[int, Namespace]] = {}
    for namespace in NAMESPACES:
        for member, pattern in enumerate(row.names(namespace)):
            seen.setdefault(pattern, (member, namespace))
    if len(row.diffusers) > 1:
        for member in range(len(row.diffusers)):
            seen.setdefault(f"{row.native}.{member}", (member, "diffusers"))
    return seen


def find_all(
    architecture: Architecture | None, name: str, component: str = "", separator: str = "."
) -> Iterator[tuple[Entry, Digits]]:
    """Every entry of `name` in an architecture, and the numbers in the name."""
    text, digits = skeleton(name)
    for candidate in architecture.components if architecture else ():
        if not component or candidate.name == component:
            for entry in index(candidate, separator).get(text, ()):
                if entry.fits(digits):
                    yield entry, digits


def find(
    architecture: Architecture | None, name: str, component: str = "", separator: str = "."
) -> tuple[Entry | None, Digits]:
    """The first of them; None and no numbers where there is none."""
    return next(find_all(architecture, name, component, separator), (None, ()))
