"""What a key says, and how the keys of one look are read."""

from __future__ import annotations

from functools import cached_property, partial
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lora_convert.adapter import Namespace
    from lora_convert.architectures import Digits, Entry

Literal = tuple[tuple[int, str], ...]
"""Numbers that a name must show, by their place among a key's."""


class Reading(NamedTuple):
    """What a key says."""

    component: str
    module: str
    namespace: Namespace
    role: str
    adapter: str
    """The adapter's name where the key holds one."""
    foreign: str
    """The algorithm, where it is one known by name only."""
    told: bool
    """Whether the key itself names the component."""


# what its constructor does, without a call of Python's for each of thousands
_reading = partial(tuple.__new__, Reading)


class Name(NamedTuple):
    """What stands in a key before its ending, with numbers abstracted: a module's name, and a prefix."""

    component: str
    module: str
    """Pattern of the module's name."""
    wild: tuple[int, ...]
    """Places of the numbers that fill it, among the key's."""
    namespace: Namespace
    told: bool
    entry: Entry | None = None
    """The architecture's module; None where any name is one."""


class Recipe(NamedTuple):
    """How to read keys of one name and ending: found once, then used for every block of the model."""

    name: Name
    role: str
    adapter: str = ""
    foreign: str = ""

    def read(self, digits: Digits) -> Reading:
        """What the key with these numbers says."""
        component, module, wild, namespace, told, _ = self.name
        filled = module.format(*[digits[place] for place in wild])
        return Reading(component, filled, namespace, self.role, self.adapter, self.foreign, told)


class Stems:
    """The numbers in the names of modules that look alike, in their order.

    It is itself alone: hashing what it holds would cost more than a look at it.
    """

    __slots__ = ("_followed", "numbers")

    def __init__(self, numbers: list[Digits]) -> None:
        self.numbers = numbers
        self._followed: dict[Digits, Stems] = {}

    @property
    def count(self) -> int:
        """How many numbers each has."""
        return len(self.numbers[0])

    def followed(self, more: Digits) -> Stems:
        """The same with more numbers after each."""
        if not more:
            return self
        known = self._followed.get(more)
        if known is None:
            known = self._followed[more] = Stems([digits + more for digits in self.numbers])
        return known


class Parted:
    """A name, and the places of the stems that are of it."""

    def __init__(self, name: Name, stems: Stems, places: Sequence[int]) -> None:
        self.name = name
        self.places = places
        self._stems = stems

    @cached_property
    def modules(self) -> list[str]:
        """The module of each stem: one text for all its keys."""
        wild, pattern, numbers = self.name.wild, self.name.module, self._stems.numbers
        if not wild:
            return [pattern] * len(self.places)
        chosen = itemgetter(*wild)
        if len(wild) == 1:
            return [pattern.format(chosen(numbers[place])) for place in self.places]
        return [pattern.format(*chosen(numbers[place])) for place in self.places]

    def column(self, place: int) -> set[str]:
        """The numbers at one of the places that fill the module's name."""
        numbers, wild = self._stems.numbers, self.name.wild[place]
        return {numbers[place][wild] for place in self.places}


class Shown(NamedTuple):
    """A recipe, and the keys of a header that it reads."""

    recipe: Recipe
    keys: Sequence[str]
    parted: Parted

    def readings(self) -> Iterator[tuple[str, Reading]]:
        """What each of the keys says."""
        (component, _, _, namespace, told, _), role, adapter, foreign = self.recipe
        same = map(repeat, (namespace, role, adapter, foreign, told))
        fields = zip(repeat(component), self.parted.modules, *same, strict=False)
        return zip(self.keys, map(_reading, fields), strict=True)


class Names:
    """Every name that a text before an ending may be, by its numbers; of two that fit, the first given."""

    __slots__ = ("_certain", "_tables")

    def __init__(self, names: Iterable[tuple[Literal, Name]]) -> None:
        """`names` come with the numbers that they must show."""
        tables: dict[tuple[int, ...], dict[Digits | str, Name]] = {}
        for literal, name in names:
            places, numbers = tuple(zip(*literal, strict=True)) if literal else ((), ())
            known = numbers[0] if len(numbers) == 1 else numbers
            tables.setdefault(places, {}).setdefault(known, name)
        first = next(iter(tables.items()), None)
        self._certain = first[1][()] if first and not first[0] else None
        self._tables = [
            (itemgetter(*places), table) if places else (_none, table)
            for places, table in tables.items()
        ]

    def __bool__(self) -> bool:
        return bool(self._tables)

    def find(self, digits: Digits) -> Name | None:
        """The name with these numbers; more may follow them."""
        if self._certain:
            return self._certain
        for numbers, table in self._tables:
            name = table.get(numbers(digits))
            if name is not None:
                return name
        return None

    def parted(self, stems: Stems) -> tuple[Parted, ...]:
        """Each name with the places of the stems that are of it."""
        if self._certain:
            return (Parted(self._certain, stems, range(len(stems.numbers))),)
        found: dict[int, tuple[Name, list[int]]] = {}
        for at, digits in enumerate(stems.numbers):
            name = self.find(digits)
            if name is not None:
                known = found.get(id(name))
                if known is None:
                    known = found[id(name)] = name, []
                known[1].append(at)
        return tuple(Parted(name, stems, places) for name, places in found.values())


class Way(NamedTuple):
    """A way to read the keys of a skeleton: the names it may hold, and what an ending says."""

    names: Names
    first: int
    """How many numbers stand before the ending."""
    numbers: Digits
    """The ending's own."""
    role: str
    adapter: str
    """Pattern of the adapter's name; its numbers are a key's last."""
    foreign: str

    def find(self, digits: Digits) -> Recipe | None:
        """How the key with these numbers is read; None where it is not."""
        if digits[self.first : self.first + len(self.numbers)] != self.numbers:
            return None
        name = self.names.find(digits)
        return self.recipe(name, digits) if name else None

    def recipe(self, name: Name, digits: Digits) -> Recipe:
        """How a name is read with this ending, in keys that end with these numbers."""
        adapter, count = self.adapter, self.adapter.count("{}")
        if count:
            adapter = adapter.format(*digits[-count:])
        return Recipe(name, self.role, adapter, self.foreign)


class Part(NamedTuple):
    """Keys that look alike and have an ending, and the numbers in them."""

    keys: Sequence[str]
    stems: Stems

    def chosen(self, places: Sequence[int]) -> Sequence[str]:
        """The keys at some places, which are all or in their order."""
        if len(places) == len(self.keys):
            return self.keys
        return [self.keys[place] for place in places]


class Group(NamedTuple):
    """Keys that look alike with their numbers abstracted, and end with the same words."""

    text: str
    keys: list[str]
    stems: Stems
    """The numbers before the ending, which modules share with their other keys."""
    last: Digits
    """Those in the ending."""

    def part(self, way: Way) -> Part | None:
        """The keys with a way's ending; None where none has it."""
        inside, count = way.first - self.stems.count, len(way.numbers)
        if inside >= 0:
            if self.last[inside : inside + count] != way.numbers:
                return None
            return Part(self.keys, self.stems.followed(self.last[:inside]))
        # the way's ending is longer than what was taken for one here
        numbers, end = self.stems.followed(self.last).numbers, way.first + count
        places = [at for at, one in enumerate(numbers) if one[way.first : end] == way.numbers]
        part = Part(self.keys, Stems([numbers[place] for place in places]))
        return part._replace(keys=part.chosen(places)) if places else None


def _none(digits: Digits) -> Digits:
    """What tells names apart that no number does."""
    return ()
