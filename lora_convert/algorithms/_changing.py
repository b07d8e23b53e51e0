"""What algorithms share that turn or replace a weight: they say nothing without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_convert.algorithms._contract import Factors, Holder
    from lora_convert.tensors.expr import Expr


def fitted(module: str, factors: Factors, holder: Holder) -> Factors:
    """As they are."""
    return factors


def change(factors: Factors) -> None:
    """None: what changes depends on the base weight."""


def parts(factors: Factors) -> dict[str, Expr]:
    """The tensors themselves."""
    return dict(factors.tensors)


def scaled(factors: Factors, by: float) -> None:
    """None: part of the way depends on the base weight."""


def folded(factors: Factors) -> Factors:
    """As they are: there is no scale."""
    return factors
