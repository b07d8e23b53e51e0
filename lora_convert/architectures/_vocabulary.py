"""The words an architecture is written in.

A row aligns what Diffusers calls a module with what the model's authors call it. ``{}`` stands for
one number. Lookups abstract numbers away, so a row serves every depth. ``<a,b>`` stands for a and b
in turn, in all names of a row at once; of two such lists in a name, each is combined with each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from lora_convert.adapter import Namespace

AUTHORS: tuple[Namespace, ...] = ("native", "original")
"""Namespaces in which a row is one module."""
NAMESPACES: tuple[Namespace, ...] = ("diffusers", "native", "original", "model")

Kind: TypeAlias = Literal["linear", "conv"]


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
    return tuple([_under(diffusers, native, original, row) for row in _inner(inner)])


def _under(diffusers: str, native: str, original: str, row: Row) -> Row:
    own = f"{original or native}.{row.original or row.native}" if original or row.original else ""
    return Row(
        tuple([f"{diffusers}.{name}" for name in row.diffusers]),
        row.native and f"{native}.{row.native}",
        row.chunks,
        row.kind,
        tuple([f"{diffusers}.{name}" for name in row.model]),
        own,
        row.growth,
    )


_CHOICE = re.compile(r"<([^>]*)>")


def _expanded(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """`rows`, one for each of the alternatives in their names."""
    return tuple([one for row in rows for one in _alternatives(row)])


_inner = cache(_expanded)
"""The same, for what is written once and stands in many blocks."""


def _alternatives(row: Row) -> Iterator[Row]:
    texts = (*row.diffusers, *row.model, row.native, row.original)
    if "<" not in "".join(texts):
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

    def __init__(
        self,
        name: str,
        rows: tuple[Row, ...],
        *,
        width: int = 0,
        slices: tuple[Row, ...] = (),
        norms: tuple[Row, ...] = (),
        walk: Mapping[str, float] = _NOWHERE,
    ) -> None:
        self.name = name
        self.width = width
        self.walk = walk
        self._written = rows, slices, norms

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All modules, each with its own name."""
        return _expanded(self._written[0])

    @cached_property
    def slices(self) -> tuple[Row, ...]:
        """Names that are read and never chosen.

        Parts of fused modules that some tools have a name for, and modules as another class of the same
        model has them.
        """
        return _expanded(self._written[1])

    @cached_property
    def norms(self) -> tuple[Row, ...]:
        """Normalisations: vectors, for which there are differences and whole weights, but no low rank."""
        return _expanded(self._written[2])

    def named(self, name: str) -> Component:
        """The same model in another place."""
        return self._like(name, self.walk)

    def with_walk(self, walk: Mapping[str, float]) -> Component:
        """The same, its attention layers numbered."""
        return self._like(self.name, walk)

    def _like(self, name: str, walk: Mapping[str, float]) -> Component:
        rows, slices, norms = self._written
        return Component(name, rows, width=self.width, slices=slices, norms=norms, walk=walk)


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
