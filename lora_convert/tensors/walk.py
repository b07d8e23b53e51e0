"""What an expression is made of."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from lora_convert.tensors.source import Source, Strided

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.tensors.expr import Expr


def sources(expr: Expr) -> Iterator[Source]:
    """Every tensor in a file, as often as it stands there."""
    match expr:
        case Source():
            yield expr
        case Strided(source):
            yield source
        case _:
            for inner in _operands(expr):
                yield from sources(inner)


def holds(expr: Expr, kind: type) -> bool:
    """Whether an expression of a kind stands anywhere in one."""
    return isinstance(expr, kind) or any(holds(inner, kind) for inner in _operands(expr))


def _operands(expr: Expr) -> Iterator[Expr]:
    """The expressions that stand in one."""
    for field in fields(expr) if is_dataclass(expr) else ():
        value = getattr(expr, field.name)
        for inner in value if isinstance(value, tuple) else (value,):
            if is_dataclass(inner) or isinstance(inner, (Source, Strided)):
                yield inner  # type: ignore[misc]
