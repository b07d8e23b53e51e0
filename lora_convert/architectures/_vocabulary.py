"""The words an architecture is written in.

A row aligns what Diffusers calls a module with what the model's authors call it. ``{}`` stands for
one number. Lookups abstract numbers away, so a row serves every depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from lora_convert.adapter import Namespace

Kind: TypeAlias = Literal["linear", "conv"]
Digits: TypeAlias = tuple[str, ...]

_NUMBER = re.compile(r"(\d+|\{\})")


def skeleton(name: str) -> tuple[str, Digits]:
    """`name` with every number replaced by ``#``, and the numbers.

    >>> skeleton("blocks.12.norm1")
    ('blocks.#.norm#', ('12', '1'))
    """
    parts = _NUMBER.split(name.replace("#", "{#}"))
    return "#".join(parts[::2]), tuple(parts[1::2])


class Row(NamedTuple):
    """One native module, and the Diffusers modules that are its rows, in order."""

    diffusers: tuple[str, ...]
    native: str
    ratio: tuple[int, ...] = (1,)
    """Relative heights of the Diffusers modules in the native one."""
    halves_swapped: bool = False
    kind: Kind = "linear"
    model: tuple[str, ...] = ()
    """What the class of today calls the Diffusers modules, where that differs."""

    def names(self, namespace: Namespace) -> tuple[str, ...]:
        """The row's patterns in a namespace."""
        if namespace == "native":
            return (self.native,)
        return (self.model or self.diffusers) if namespace == "model" else self.diffusers


def same(diffusers: str, native: str, *, kind: Kind = "linear") -> Row:
    """One module with two names."""
    return Row((diffusers,), native, kind=kind)


def swapped(diffusers: str, native: str) -> Row:
    """One module whose two halves of rows are in the other order."""
    return Row((diffusers,), native, halves_swapped=True)


def fused(*diffusers: str, into: str, ratio: tuple[int, ...] = ()) -> Row:
    """Several modules that are one native module, from top to bottom."""
    return Row(diffusers, into, ratio or (1,) * len(diffusers))


def nested(diffusers: str, native: str, inner: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows of a block, under the block's two names."""
    return tuple(
        row._replace(
            diffusers=tuple(f"{diffusers}.{name}" for name in row.diffusers),
            native=f"{native}.{row.native}",
        )
        for row in inner
    )


class Sign(NamedTuple):
    """Something that tells this architecture from others with the same names.

    ``inputs`` is the width a module's ``down`` expects, ``blocks`` their number: only where a
    file shows it. A sign breaks ties; it never refuses.
    """

    module: str
    inputs: int = 0
    blocks: int = 0


def width(module: str, inputs: int) -> Sign:
    """`module` takes `inputs` features."""
    return Sign(module, inputs=inputs)


def depth(module: str, count: int) -> Sign:
    """There are `count` blocks ``module``; the last ``{}`` is their number."""
    return Sign(module, blocks=count)


class Component:
    """A model of a pipeline that adapters can touch: its name and its rows.

    Rows may be given as a function, which is called when they are first asked for, together with the
    roots that their names begin with. ``width``, the features that attention takes, tells components
    with the same names apart.
    """

    __slots__ = ("_roots", "_rows", "name", "width")

    def __init__(
        self,
        name: str,
        rows: tuple[Row, ...] | Callable[[], tuple[Row, ...]],
        *,
        roots: tuple[str, ...] = (),
        width: int = 0,
    ) -> None:
        self.name = name
        self.width = width
        self._rows = rows
        self._roots = roots

    @property
    def rows(self) -> tuple[Row, ...]:
        """All modules."""
        if callable(self._rows):
            self._rows = self._rows()
        return self._rows

    @property
    def roots(self) -> tuple[str, ...]:
        """How the names of its modules begin, in any namespace."""
        if not self._roots:
            names = (n for row in self.rows for n in (*row.diffusers, *row.model, row.native))
            self._roots = tuple(dict.fromkeys(name.partition(".")[0] for name in names))
        return self._roots

    def named(self, name: str) -> Component:
        """The same model in another place."""
        return Component(name, self._rows, roots=self._roots, width=self.width)


class Architecture(NamedTuple):
    """Which modules a model family has and what each namespace calls them."""

    name: str
    title: str
    components: tuple[Component, ...]
    signs: tuple[Sign, ...] = ()
    own: tuple[str, ...] = ()
    """Beginnings of module names that other families do not have. Where a file shows none of them,
    a sign must hold before this architecture is named. Empty: all names are its own."""

    def component(self, name: str) -> Component | None:
        """The component of that name."""
        return next((component for component in self.components if component.name == name), None)


class Entry(NamedTuple):
    """A pattern of a row, found by its skeleton."""

    component: str
    row: Row
    member: int
    """Index among the row's Diffusers modules."""
    namespace: Namespace
    digits: Digits
    """Numbers the name must show; ``{}`` for any."""

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
    """A component's modules in every namespace, by skeleton, with names joined by `separator`."""
    # by identity: hashing a table of hundreds of rows costs more than the look-up it saves
    known = _INDEXES.get((id(component), separator))
    if known is None:
        known = _INDEXES[id(component), separator] = component, _indexed(component, separator)
    return known[1]


def _indexed(component: Component, separator: str) -> dict[str, tuple[Entry, ...]]:
    found: dict[str, list[Entry]] = {}
    for row in component.rows:
        for text, digits, member, namespace in _spellings(row):
            key = text.replace(".", separator)
            found.setdefault(key, []).append(Entry(component.name, row, member, namespace, digits))
    return {key: tuple(entries) for key, entries in found.items()}


def _spellings(row: Row) -> Iterator[tuple[str, Digits, int, Namespace]]:
    namespaces: tuple[Namespace, ...] = ("diffusers", "native", "model")
    seen: set[str] = set()
    for namespace in namespaces:
        for member, pattern in enumerate(row.names(namespace)):
            if pattern not in seen:
                seen.add(pattern)
                yield *skeleton(pattern), member, namespace


def find(
    architecture: Architecture | None, name: str, component: str = "", separator: str = "."
) -> tuple[Entry | None, tuple[str, ...]]:
    """The entry of `name` in an architecture, and the numbers in the name."""
    text, digits = skeleton(name)
    for candidate in architecture.components if architecture else ():
        if not component or candidate.name == component:
            for entry in index(candidate, separator).get(text, ()):
                if entry.fits(digits):
                    return entry, digits
    return None, digits
