"""What a key says, and how the keys of one look are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_convert.adapter import Namespace

Digits = tuple[str, ...]


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

    def read(self, digits: Digits) -> Reading:
        """What the key with these numbers says."""
        module = self.module.format(*[digits[place] for place in self.wild])
        adapter = self.adapter.format(*[digits[place] for place in self.adapter_wild])
        return Reading(
            self.component, module, self.namespace, self.role, adapter, self.foreign, self.told
        )


class Recipes:
    """Every way to read the keys of one skeleton; of two that fit, the one given first counts."""

    __slots__ = ("_tables",)

    def __init__(self, recipes: Iterable[Recipe]) -> None:
        tables: dict[tuple[int, ...], dict[Digits, Recipe]] = {}
        for recipe in recipes:
            places = tuple(place for place, _ in recipe.literal)
            numbers = tuple(number for _, number in recipe.literal)
            tables.setdefault(places, {}).setdefault(numbers, recipe)
        self._tables = tuple(tables.items())

    def __bool__(self) -> bool:
        return bool(self._tables)

    def find(self, digits: Digits) -> Recipe | None:
        """The recipe for the key with these numbers."""
        for places, table in self._tables:
            recipe = table.get(tuple([digits[place] for place in places]))
            if recipe is not None:
                return recipe
        return None

    @property
    def foreign(self) -> bool:
        """Whether these are keys of an algorithm that is known by name only."""
        return any(recipe.foreign for _, table in self._tables for recipe in table.values())
