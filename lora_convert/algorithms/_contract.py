"""What an algorithm must be able to do."""

from __future__ import annotations

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


class TakeRows(Protocol):
    """Rows of ΔW: ranges ``(start, stop)`` in the order wanted."""

    def __call__(
        self, module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
    ) -> Factors: ...


class StackRows(Protocol):
    """ΔWs one above the other; the parts' scales may differ."""

    def __call__(self, module: str, parts: Sequence[Part], facts: Facts) -> Factors: ...


class Check(Protocol):
    """Raises ShapeError where the tensors of a module do not fit together."""

    def __call__(self, module: str, tensors: Mapping[str, Expr]) -> None: ...


class Algorithm(NamedTuple):
    """An algorithm: its roles and its algebra."""

    name: str
    title: str
    needs: tuple[str, ...]
    may: tuple[str, ...]
    take_rows: TakeRows
    stack_rows: StackRows
    check: Check
