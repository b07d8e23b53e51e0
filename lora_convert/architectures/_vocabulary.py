"""The words an architecture is written in.

A row aligns what Diffusers calls a module with what the model's authors call it. ``{}`` stands for
one number. Lookups abstract numbers away, so a row serves every depth. ``<a,b>`` stands for a and b
in turn, in all names of a row at once; of two such lists in a name, each is combined with each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from lora_convert.adapter import Namespace

AUTHORS: tuple[Namespace, ...] = ("native", "original")
"""Namespaces in which a row is one module."""
NAMESPACES: tuple[Namespace, ...] = ("diffusers", "native", "original", "model")

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
    """One native module, and the Diffusers modules that its rows make."""

    diffusers: tuple[str, ...]
    """Empty where Diffusers has no such module."""
    native: str
    """Empty where the authors have no such module."""
    chunks: tuple[tuple[int, ...], ...] = ((0,),)
    """The native module's rows in equal chunks, numbered from the top: those that each Diffusers module
    is, in its order."""
    kind: Kind = "linear"
    model: tuple[str, ...] = ()
    """What the class of today calls the Diffusers modules, where that differs."""
    original: str = ""
    """The authors' own name, where ``native`` is what others call their module."""
    growth: float = 0
    """Rows over columns of the weight, where that alone tells rows with a name in common apart: the
    last block of some models is smaller than the others."""

    def names(self, namespace: Namespace) -> tuple[str, ...]:
        """The row's patterns in a namespace."""
        if namespace == "native":
            return (self.native,) if self.native else ()
        if namespace == "original":
            return (self.original,) if self.original else self.names("native")
        return (self.model or self.diffusers) if namespace == "model" else self.diffusers

    @property
    def order(self) -> tuple[int, ...]:
        """The chunks as they lie with the Diffusers modules one above the other."""
        return tuple(chunk for chunks in self.chunks for chunk in chunks)


def same(
    diffusers: str,
    native: str,
    original: str = "",
    *,
    kind: Kind = "linear",
    growth: float = 0,
) -> Row:
    """One module with two names, or three."""
    return Row((diffusers,), native, kind=kind, original=original, growth=growth)


def alike(*names: str, kind: Kind = "linear") -> tuple[Row, ...]:
    """Modules that have the same name everywhere."""
    return tuple(Row((name,), name, kind=kind) for name in names)


def swapped(diffusers: str, native: str, original: str = "", *, growth: float = 0) -> Row:
    """One module whose two halves of rows are in the other order."""
    return Row((diffusers,), native, ((1, 0),), original=original, growth=growth)


def fused(*diffusers: str, into: str, ratio: tuple[int, ...] = (), original: str = "") -> Row:
    """Several modules that are one native module, from top to bottom; `ratio` is that of their heights."""
    chunks, top = [], 0
    for share in ratio or (1,) * len(diffusers):
        chunks.append(tuple(range(top, top + share)))
        top += share
    return Row(diffusers, into, tuple(chunks), original=original)


def shuffled(*diffusers: str, into: str, chunks: tuple[tuple[int, ...], ...]) -> Row:
    """Several modules, of each of which the native module holds these chunks of rows."""
    return Row(diffusers, into, chunks)


def native_only(native: str) -> Row:
    """A module that Diffusers does not have."""
    return Row((), native, ())


def nested(
    diffusers: str, native: str, inner: tuple[Row, ...], original: str = ""
) -> tuple[Row, ...]:
    """The rows of a block, under the block's names."""
    return tuple(
        row._replace(
            diffusers=tuple(f"{diffusers}.{name}" for name in row.diffusers),
            native=row.native and f"{native}.{row.native}",
            model=tuple(f"{diffusers}.{name}" for name in row.model),
            original=f"{original or native}.{row.original or row.native}"
            if original or row.original
            else "",
        )
        for row in inner
    )


_CHOICE = re.compile(r"<([^>]*)>")


def _expanded(row: Row) -> Iterator[Row]:
    """`row` with each of the alternatives in its names."""
    texts = (*row.diffusers, *row.model, row.native, row.original)
    if not any("<" in text for text in texts):
        yield row
        return
    lists = max((_CHOICE.findall(text) for text in texts), key=len)
    for turn in product(*(range(names.count(",") + 1) for names in lists)):

        def chosen(text: str, turn: tuple[int, ...] = turn) -> str:
            places = iter(turn)
            return _CHOICE.sub(lambda found: found[1].split(",")[next(places)], text)

        yield row._replace(
            diffusers=tuple(map(chosen, row.diffusers)),
            native=chosen(row.native),
            model=tuple(map(chosen, row.model)),
            original=chosen(row.original),
        )


class Sign(NamedTuple):
    """Something that tells this architecture from others with the same names.

    ``module`` is a pattern in Diffusers' names. ``inputs`` are the widths that a module's ``down`` may
    expect, ``blocks`` the numbers of them there may be, ``growths`` what their rows may be over their
    width: one of each model of a family, only where a file shows it. A sign breaks ties; it never refuses.
    """

    module: str
    inputs: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    growths: tuple[float, ...] = ()


def width(module: str, *inputs: int) -> Sign:
    """`module` takes `inputs` features, one of these in each model of the family."""
    return Sign(module, inputs=inputs)


def depth(module: str, *counts: int) -> Sign:
    """There are `counts` blocks ``module``, one of these in each model; the last ``{}`` is their number."""
    return Sign(module, blocks=counts)


def growth(module: str, *ratios: float) -> Sign:
    """`module` has `ratios` times as many rows as features, one of these in each model of the family."""
    return Sign(module, growths=ratios)


_NOWHERE: Mapping[str, float] = {}


class Component:
    """A model of a pipeline that adapters can touch: its name and its rows.

    ``width``, the features that attention takes, tells components with the same names apart.
    ``walk`` are its attention layers in the order in which a trainer of 2022 numbered them, and how many
    outputs each has to an input; 0 where that differs.
    """

    __slots__ = ("_norms", "_rows", "_written_norms", "name", "slices", "walk", "width", "written")

    def __init__(
        self,
        name: str,
        written: tuple[Row, ...],
        *,
        width: int = 0,
        slices: tuple[Row, ...] = (),
        norms: tuple[Row, ...] = (),
        walk: Mapping[str, float] = _NOWHERE,
    ) -> None:
        self.name = name
        self.width = width
        self.walk = walk
        self.written = written
        self.slices = slices
        """Names that are read and never chosen: parts of fused modules that some tools have a name for,
        and modules as another class of the same model has them."""
        self._written_norms = norms
        self._rows: tuple[Row, ...] = ()
        self._norms: tuple[Row, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """All modules, each with its own name."""
        if not self._rows:
            self._rows = tuple(one for row in self.written for one in _expanded(row))
        return self._rows

    @property
    def norms(self) -> tuple[Row, ...]:
        """Normalisations: vectors, for which there are differences and whole weights, but no low rank."""
        if not self._norms:
            self._norms = tuple(one for row in self._written_norms for one in _expanded(row))
        return self._norms

    def named(self, name: str) -> Component:
        """The same model in another place."""
        return self._like(name, self.walk)

    def with_walk(self, walk: Mapping[str, float]) -> Component:
        """The same, its attention layers numbered."""
        return self._like(self.name, walk)

    def _like(self, name: str, walk: Mapping[str, float]) -> Component:
        return Component(
            name,
            self.written,
            width=self.width,
            slices=self.slices,
            norms=self._written_norms,
            walk=walk,
        )


class Architecture(NamedTuple):
    """Which modules a model family has and what each namespace calls them."""

    name: str
    title: str
    components: tuple[Component, ...]
    signs: tuple[Sign, ...] = ()
    enlarged: Mapping[str, int] = {}
    """Modules, in Diffusers' names, whose weights some adapters enlarge, and the inputs they then have."""
    own: tuple[str, ...] = ()
    """Beginnings of module names that other families do not have, with ``{}`` for numbers. Where a file
    shows none of them, a sign must hold before this architecture is named. Empty: all names are its own."""

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
    slices = (one for row in component.slices for one in _expanded(row))
    for row in (*component.rows, *slices, *component.norms):
        for pattern, member, namespace in _spellings(row):
            text, digits = skeleton(pattern)
            key = text.replace(".", separator)
            found.setdefault(key, []).append(Entry(component.name, row, member, namespace, digits))
    return {key: tuple(entries) for key, entries in found.items()}


def _numbered(component: Component) -> Iterator[Entry]:
    names = index(component, ".")
    for number, module in enumerate(component.walk):
        text, digits = skeleton(module)
        entry = next(entry for entry in names[text] if entry.fits(digits))
        yield entry._replace(digits=(str(number),), module=module)


def _spellings(row: Row) -> Iterator[tuple[str, int, Namespace]]:
    """The patterns by which a row is known: each once, with the first namespace that has it."""
    seen: set[str] = set()
    for namespace in NAMESPACES:
        for member, pattern in enumerate(row.names(namespace)):
            if pattern not in seen:
                seen.add(pattern)
                yield pattern, member, namespace
    if len(row.diffusers) > 1:
        for member in range(len(row.diffusers)):
            yield f"{row.native}.{member}", member, "diffusers"


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
