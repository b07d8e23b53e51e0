"""What a key says, and how the keys of one look are read."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_convert.adapter import Namespace
    from lora_convert.architectures import Entry

Digits = tuple[str, ...]
"""The numbers in a name."""
Members = list[tuple[str, Digits]]
"""Keys with their numbers."""


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


class Recipe(NamedTuple):
    """How to read the keys of one skeleton: found once, then used for every block of the model."""

    literal: tuple[tuple[int, str], ...]
    """Numbers that a key must show, by their place among its numbers."""
    module: str
    """Pattern of the module's name."""
    wild: tuple[int, ...]
    """Places of the numbers that fill it."""
    adapter: str
    adapter_wild: tuple[int, ...]
    component: str
    namespace: Namespace
    role: str
    foreign: str
    told: bool
    entry: Entry | None = None
    """The architecture's module; None where any name is one."""

    def read(self, digits: Digits) -> Reading:
        """What the key with these numbers says."""
        adapter = self.adapter
        if self.adapter_wild:
            adapter = adapter.format(*[digits[place] for place in self.adapter_wild])
        return Reading(
            self.component,
            self.module.format(*[digits[place] for place in self.wild]),
            self.namespace,
            self.role,
            adapter,
            self.foreign,
            self.told,
        )


class Shown(NamedTuple):
    """A recipe, and the keys of a header that it reads."""

    recipe: Recipe
    members: Members


class Recipes:
    """Every way to read the keys of one skeleton; of two that fit, the one given first counts."""

    __slots__ = ("_certain", "_tables")

    def __init__(self, recipes: Iterable[Recipe]) -> None:
        tables: dict[tuple[int, ...], dict[Digits | str, Recipe]] = {}
        for recipe in recipes:
            places = tuple(place for place, _ in recipe.literal)
            numbers = tuple(number for _, number in recipe.literal)
            known = numbers[0] if len(numbers) == 1 else numbers
            tables.setdefault(places, {}).setdefault(known, recipe)
        first = next(iter(tables.items()), None)
        self._certain = first[1][()] if first and not first[0] else None
        self._tables = [
            (itemgetter(*places), table) if places else (_none, table)
            for places, table in tables.items()
        ]

    def __bool__(self) -> bool:
        return bool(self._tables)

    def find(self, digits: Digits) -> Recipe | None:
        """The recipe for the key with these numbers."""
        if self._certain:
            return self._certain
        for numbers, table in self._tables:
            recipe = table.get(numbers(digits))
            if recipe is not None:
                return recipe
        return None

    def used_by(self, members: Members) -> list[Shown]:
        """Each recipe with the keys that it reads."""
        if self._certain:
            return [Shown(self._certain, members)]
        used: dict[int, Shown] = {}
        for member in members if self._tables else ():
            recipe = self.find(member[1])
            if recipe is not None:
                known = used.get(id(recipe))
                if known is None:
                    known = used[id(recipe)] = Shown(recipe, [])
                known.members.append(member)
        return list(used.values())

    @property
    def foreign(self) -> bool:
        """Whether these are keys of an algorithm that is known by name only."""
        return any(recipe.foreign for _, table in self._tables for recipe in table.values())


def _none(digits: Digits) -> Digits:
    """What tells recipes apart that no number does."""
    return ()
