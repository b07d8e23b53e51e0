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
