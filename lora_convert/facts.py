"""Questions about bytes that make a plan smaller. Without answers a plan is correct, only larger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lora_convert.tensors.expr import Expr


class Facts(Protocol):
    """What a planner may ask of the bytes."""

    def same(self, one: Expr, other: Expr) -> bool:
        """Whether two expressions have the same dtype, shape and bytes."""

    def support(self, expr: Expr) -> tuple[int, int]:
        """Start and stop of the columns outside which every element is zero."""


class NoFacts:
    """Answers from the expressions alone."""

    def same(self, one: Expr, other: Expr) -> bool:
        """True for equal expressions."""
        return one == other

    def support(self, expr: Expr) -> tuple[int, int]:
        """The columns that are not known zeros."""
        from lora_convert.tensors.expr import Padded

        if isinstance(expr, Padded):
            return expr.left, expr.left + expr.of.shape[1]
        return 0, expr.shape[1]
