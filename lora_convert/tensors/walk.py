"""The tensors in files that an expression is made of."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from lora_convert.tensors.source import Source, Strided

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.tensors.expr import Expr


def sources(expr: Expr) -> Iterator[Source]:
    """Every source, as often as it stands there."""
    match expr:
        case Source():
            yield expr
        case Strided(source):
            yield source
        case _ if is_dataclass(expr):
            for field in fields(expr):
                value = getattr(expr, field.name)
                for inner in value if isinstance(value, tuple) else (value,):
                    if is_dataclass(inner) or isinstance(inner, (Source, Strided)):
                        yield from sources(inner)  # type: ignore[arg-type]
