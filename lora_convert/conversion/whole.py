"""The modules of a whole model's weights: what names in a checkpoint that is no adapter mean."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import ARCHITECTURES, SINGLE_FILES, find, skeleton
from lora_convert.conversion.recipes import Name, Parted, Recipe, Shown, Stems
from lora_convert.conversion.signs import evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lora_convert.adapter import Namespace
    from lora_convert.architectures import Architecture, Entry
    from lora_convert.header import Header

_PREFIXES: tuple[str, ...] = ("", "model.diffusion_model.")
"""Before the names of a checkpoint in one file whose architecture says nothing else."""
_ENDINGS = (".weight", "_weight")
_NEARLY = 0.9
"""Share of the most kinds of names, from which on an architecture may be the one."""


class Place(NamedTuple):
    """A module that a tensor is the weight of."""

    module: str
    entry: Entry
    numbers: tuple[str, ...]

    @property
    def component(self) -> str:
        """The component it is in."""
        return self.entry.component

    @property
    def namespace(self) -> Namespace:
        """Whose name it has."""
        return self.entry.namespace


class Placed(NamedTuple):
    """What the weights of a checkpoint are."""

    architecture: Architecture
    """As such a checkpoint names its modules."""
    places: dict[str, Place]
    """By name, of those that an adapter can change."""


def placed(
    header: Header, *, architecture: str | None = None, component: str | None = None
) -> Placed | None:
    """The modules of a checkpoint, in the architecture that has most of its names; None where none has.

    `architecture` fixes that; `component` says which one a file of one component is.
    """
    names = [architecture] if architecture else _likely(header.tensors, component)
    trials = [found for name in names if (found := _read(header.tensors, name, component)).places]
    return max(trials, key=lambda found: _weight(found, header), default=None)


def _weight(found: Placed, header: Header) -> tuple[int, ...]:
    shown = (_as_shown(name, place) for name, place in found.places.items())
    return len(found.places), *evidence(ARCHITECTURES[found.architecture.name], header, shown)


def _as_shown(name: str, place: Place) -> Shown:
    """A weight as signs are read from: in the place of an adapter's ``down``, which is as wide."""
    wild = tuple(range(len(place.numbers)))
    known = Name(
        place.component, place.module, wild, place.namespace, told=False, entry=place.entry
    )
    return Shown(Recipe(known, "down"), [name], Parted(known, Stems([place.numbers]), [0]))


def _likely(names: Iterable[str], component: str | None) -> list[str]:
    """The architectures that have the names of most kinds, told by one name of each kind."""
    kinds = {skeleton(name)[0]: name for name in names}
    counts = Counter(
        {name: len(_read(kinds.values(), name, component).places) for name in ARCHITECTURES}
    )
    most = max(counts.values())
    return [name for name, count in counts.items() if count and count >= most * _NEARLY]


def _read(names: Iterable[str], architecture: str, component: str | None) -> Placed:
    layout, known = SINGLE_FILES.get(architecture), ARCHITECTURES[architecture]
    own = layout.named(known) if layout else known
    prefixes: dict[str, tuple[str, ...]]
    prefixes = {**layout.prefixes} if layout else {part.name: _PREFIXES for part in own.components}
    if component:
        prefixes = {component: (*prefixes.get(component, ()), "")}
    else:
        prefixes[""] = ("",)  # a component's own file
    found = ((name, next(_places(name, own, prefixes), None)) for name in names)
    return Placed(own, {name: place for name, place in found if place})


def _places(
    name: str, architecture: Architecture, prefixes: Mapping[str, tuple[str, ...]]
) -> Iterator[Place]:
    module = next((name.removesuffix(end) for end in _ENDINGS if name.endswith(end)), "")
    for component, beginnings in prefixes.items() if module else ():
        for beginning in beginnings:
            inner = module.removeprefix(beginning)
            if inner != module or not beginning:
                entry, digits = find(architecture, inner, component)
                if entry is not None:
                    yield Place(inner, entry, entry.wildcards(digits))
