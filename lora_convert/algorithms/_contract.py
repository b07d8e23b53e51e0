"""What an algorithm must be able to do."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from lora_convert.adapter import Delta, Scale
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr, Shape


class Factors(NamedTuple):
    """The tensors of a delta, by role, its factor, and the numbers that belong to it."""

    tensors: Mapping[str, Expr]
    scale: Scale
    settings: Mapping[str, float] = {}
    """By name, as `Algorithm.settings` lists them."""


def factors_of(delta: Delta) -> Factors:
    """What of a delta is its algorithm's."""
    return Factors(delta.tensors, delta.scale, delta.settings)


def with_factors(delta: Delta, factors: Factors) -> Delta:
    """A delta with other factors."""
    return delta._replace(tensors=factors.tensors, scale=factors.scale, settings=factors.settings)


class Part(NamedTuple):
    """One member of a stack: its factors, or None for rows that are not adapted."""

    factors: Factors | None
    height: int
    """Rows."""


class Holder(NamedTuple):
    """What a format can hold of a module."""

    title: str
    """The format's."""
    holds: Callable[[str], bool]
    """Whether it has a place for a role."""
    kind: str
    """The module's: ``linear`` or ``conv``; empty where nothing tells."""
    magnitude: Literal["vector", "column"]
    """DoRA magnitudes: (O) and (1, O, 1, 1), as PEFT has them, or (O, 1) and (O, 1, 1, 1)."""
    scales: bool
    """Whether its readers apply a scale to factors that have no rank."""


class Algebra(Protocol):
    """What an algorithm's own module offers."""

    def check(self, module: str, tensors: Mapping[str, Expr]) -> None:
        """Raise ShapeError where the tensors of a module, as `canonical` gives them, do not fit together."""

    def canonical(self, module: str, factors: Factors) -> Factors:
        """Factors of a file in the shapes that the other verbs expect; ShapeError where they do not fit."""

    def fitted(self, module: str, factors: Factors, holder: Holder) -> Factors:
        """The same change in the roles and shapes of a format, where it has them.

        Roles that it has no place for are left to whoever asks. NotExpressibleError where another shape
        would mean something else.
        """

    def shape(self, tensors: Mapping[str, Expr]) -> Shape:
        """Outputs, inputs and kernel of ΔW as far as the tensors tell; 0 where they do not.

        Factors of convolutions may hold inputs and kernel as one number.
        """

    def take_rows(
        self, module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
    ) -> Factors:
        """Rows of ΔW: ranges ``(start, stop)`` in the order wanted."""

    def stack_rows(self, module: str, parts: Sequence[Part], facts: Facts) -> Factors:
        """ΔWs one above the other; the parts' scales may differ."""

    def change(self, factors: Factors) -> Expr | None:
        """ΔW, or the matrix that it is written as; None where that takes the base weight."""

    def parts(self, factors: Factors) -> dict[str, Expr]:
        """All that acts, by name: where it is equal, two adapters act equally on every base.

        A part in NEUTRAL that is not there is as one of that value; any other has no such value.
        """

    def scaled(self, factors: Factors, by: float) -> Factors | None:
        """Factors that change any base `by` times as much; None where there are none."""

    def folded(self, factors: Factors) -> Factors:
        """The same change with the scale in a factor, so that 1 is left of it."""

    def merged(
        self, module: str, base: Mapping[str, Expr], factors: Factors, strength: float
    ) -> dict[str, Expr]:
        """What a base module's ``weight`` and ``bias`` become, in their own dtypes.

        Only what changes is given. `strength` is how many times it is done: 0 changes nothing, 1 is the
        adapter as it was trained. ShapeError where the base is not one that these factors fit.
        """


NEUTRAL = {
    "change": 0.0,
    "bias": 0.0,
    "own": 0.0,
    "rows": 1.0,
    "columns": 1.0,
    "oft_blocks": 0.0,
    "rescale": 1.0,
}
"""Of parts that act: the value of all elements at which they do nothing."""

AlphaMeaning: TypeAlias = Literal["scale", "constraint", "nothing"]


class Algorithm(NamedTuple):
    """An algorithm: its roles, and where its algebra is."""

    name: str
    title: str
    forms: tuple[tuple[str, ...], ...]
    """Roles that make it whole: those of one of these."""
    may: tuple[str, ...] = ()
    """Roles that it may have beside them."""
    ranks: tuple[tuple[str, int], ...] = ()
    """Roles and their dimension that is the rank; of several the first that is there."""
    alpha: AlphaMeaning = "scale"
    """What an alpha beside its tensors says."""
    settings: tuple[str, ...] = ()
    """Numbers that are no tensors: kept beside each module, or in a configuration."""
    unequal: tuple[tuple[str, str, str], ...] = ()
    """Of two roles for the same: what the first does to a module's rows that the second does not."""
    dimensions: int | None = None
    """Of the first role of a form, where another algorithm has a role of that name."""

    @property
    def short(self) -> str:
        """Its title's beginning: what it is called."""
        return self.title.partition(":")[0]

    @property
    def algebra(self) -> Algebra:
        """The module of its name beside this one, imported when algebra is needed."""
        found: Algebra = importlib.import_module(f"lora_convert.algorithms.{self.name}")
        return found

    @property
    def roles(self) -> tuple[str, ...]:
        """All roles that it can have."""
        return (*dict.fromkeys(role for form in self.forms for role in form), *self.may)

    def rank(self, tensors: Mapping[str, Expr]) -> int:
        """What a stored alpha is divided by; 0 where an alpha means nothing for these tensors."""
        shapes = (tensors[role].shape[at:] for role, at in self.ranks if role in tensors)
        return next((shape[0] for shape in shapes if shape), 0)

    def missing(self, present: Collection[str]) -> tuple[str, ...]:
        """Roles that the likeliest form lacks; none where one is whole."""
        lacking = [tuple(role for role in form if role not in present) for form in self.forms]
        shown = [len(form) - len(lacks) for form, lacks in zip(self.forms, lacking, strict=True)]
        order = sorted(range(len(lacking)), key=lambda at: (len(lacking[at]), -shown[at]))
        return lacking[order[0]]
