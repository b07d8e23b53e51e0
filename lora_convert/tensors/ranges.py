"""Expressions without arithmetic are byte ranges: what can be copied without numpy."""

from __future__ import annotations

import struct
from typing import NamedTuple

from lora_convert.tensors.dtypes import BITS
from lora_convert.tensors.expr import Expr, Held, Reshaped, Rows, Scalar, Stack
from lora_convert.tensors.source import Source


class Range(NamedTuple):
    """`size` bytes of a checkpoint's file, from `start`."""

    file: int
    start: int
    size: int


def pieces(expr: Expr) -> list[Range | bytes] | None:
    """The bytes of `expr`, in order, as ranges and literals; None where they must be computed."""
    match expr:
        case Source():
            return [Range(expr.file, expr.start, expr.size)]
        case Rows(Source() as source, start, stop):
            return _row_range(source, start, stop)
        case Reshaped(inner, _):
            return pieces(inner)
        case Held(data, _, _):
            return [data]
        case Scalar(value, "F32"):
            return [struct.pack("<f", value)]
        case Stack(parts):
            return _joined([pieces(part) for part in parts])
        case _:
            return None


def _row_range(source: Source, start: int, stop: int) -> list[Range | bytes] | None:
    bits = BITS[source.dtype]
    for length in source.shape[1:]:
        bits *= length
    if bits % 8:
        return None
    row = bits // 8
    return [Range(source.file, source.start + start * row, (stop - start) * row)]


def _joined(parts: list[list[Range | bytes] | None]) -> list[Range | bytes] | None:
    joined: list[Range | bytes] = []
    for part in parts:
        if part is None:
            return None
        joined.extend(part)
    return joined
