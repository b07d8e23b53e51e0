"""What an algorithm must be able to do."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.adapter import Scale
    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr


class Factors(NamedTuple):
    """The tensors of a delta, by role, and its factor."""

    tensors: Mapping[str, Expr]
    scale: Scale


class Part(NamedTuple):
    """One member of a stack: its factors, or None for rows that are not adapted."""

    factors: Factors | None
    height: int
    """Rows."""


class Algebra(Protocol):
    """What an algorithm's own module offers."""

    def take_rows(
        self, module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
    ) -> Factors:
        """Rows of ΔW: ranges ``(start, stop)`` in the order wanted."""

    def stack_rows(self, module: str, parts: Sequence[Part], facts: Facts) -> Factors:
        """ΔWs one above the other; the parts' scales may differ."""

    def merged(self, module: str, base: Mapping[str, Expr], factors: Factors) -> dict[str, Expr]:
        """What a base module's ``weight`` and ``bias`` become, in their own dtypes.

        Only what changes is given. ShapeError where the base is not one that these factors fit.
        """

    def check(self, module: str, tensors: Mapping[str, Expr]) -> None:
        """Raise ShapeError where the tensors of a module do not fit together."""


class Algorithm(NamedTuple):
    """An algorithm: its roles, and where its algebra is."""

    name: str
    title: str
    needs: tuple[str, ...]
    may: tuple[str, ...]

    @property
    def algebra(self) -> Algebra:
        """The module of its name beside this one, imported when algebra is needed."""
        found: Algebra = importlib.import_module(f"lora_convert.algorithms.{self.name}")
        return found
