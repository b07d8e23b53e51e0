"""Constructors of expressions, which simplify.

Taking a stack apart again gives back what was stacked, so round trips are exact before a byte is read.
"""

from __future__ import annotations

from math import prod

from lora_convert.tensors.arithmetic import (
    Contracted,
    Directed,
    Gained,
    Hadamard,
    Kronecker,
    Mixed,
    Product,
    Shifted,
    Sum,
    Transposed,
)
from lora_convert.tensors.expr import (
    Cast,
    Columns,
    Expr,
    Padded,
    Reshaped,
    Rows,
    Scalar,
    Shape,
    Stack,
    Times,
    Zeros,
)
from lora_convert.tensors.turning import Turned


def rows(of: Expr, start: int, stop: int) -> Expr:
    """Rows `start` to `stop` of `of`."""
    if not 0 <= start <= stop <= of.shape[0]:
        raise ValueError(f"rows {start}:{stop} of {of.shape}")
    if (start, stop) == (0, of.shape[0]):
        return of
    match of:
        case Rows(inner, first, _):
            return Rows(inner, first + start, first + stop)
        case Stack(parts):
            return _rows_of_stack(parts, start, stop)
        case Padded(inner, left, right):
            return padded(rows(inner, start, stop), left, right)
        case Columns(inner, first, last):
            return columns(rows(inner, start, stop), first, last)
        case Times(inner, factor):
            return times(rows(inner, start, stop), factor)
        case Cast(inner, dtype):
            return cast(rows(inner, start, stop), dtype)
        case Zeros(dtype, shape):
            return Zeros(dtype, (stop - start, *shape[1:]))
        case Contracted(mid, down):
            return Contracted(rows(mid, start, stop), down)
        case Product(up, down, factor):
            return Product(rows(up, start, stop), down, factor)
        case Mixed(inner, matrix):
            return Mixed(rows(inner, start, stop), matrix)
        case Sum(first_one, second):
            return Sum(rows(first_one, start, stop), rows(second, start, stop))
        case Directed(inner, magnitude) if of.by_row:
            return Directed(rows(inner, start, stop), rows(magnitude, start, stop))
        case Reshaped(inner, shape) if inner.shape[0] == shape[0]:
            return reshaped(rows(inner, start, stop), (stop - start, *shape[1:]))
        case Transposed(inner):
            return transposed(columns(inner, start, stop))
        case Hadamard(one, other):
            return Hadamard(rows(one, start, stop), rows(other, start, stop))
        case Kronecker(outer, inner):
            return _rows_of_kronecker(outer, inner, start, stop)
        case Shifted(inner, by):
            return Shifted(rows(inner, start, stop), by)
        case Gained(inner, gains):
            gains = rows(gains, start, stop) if of.by_row else gains
            return Gained(rows(inner, start, stop), gains)
        case Turned(inner, turns, rotation) if of.by_row:
            return Turned(rows(inner, start, stop), turns, rotation)
        case _:
            return Rows(of, start, stop)


def _rows_of_stack(parts: tuple[Expr, ...], start: int, stop: int) -> Expr:
    taken = []
    top = 0
    for part in parts:
        bottom = top + part.shape[0]
        first, last = max(start, top), min(stop, bottom)
        if first < last:
            taken.append(rows(part, first - top, last - top))
        top = bottom
    return stack(*taken)


def _rows_of_kronecker(outer: Expr, inner: Expr, start: int, stop: int) -> Expr:
    """Rows of one element's block, of whole blocks, and of another's."""
    height = inner.shape[0]
    first, last = start // height, (stop - 1) // height
    top, bottom = start - first * height, stop - last * height
    if first == last:
        return Kronecker(rows(outer, first, last + 1), rows(inner, top, bottom))
    parts = []
    if top:
        parts.append(Kronecker(rows(outer, first, first + 1), rows(inner, top, height)))
    whole = first + (top > 0), last + (bottom == height)
    if whole[0] < whole[1]:
        parts.append(Kronecker(rows(outer, *whole), inner))
    if bottom < height:
        parts.append(Kronecker(rows(outer, last, last + 1), rows(inner, 0, bottom)))
    return stack(*parts)


def columns(of: Expr, start: int, stop: int) -> Expr:
    """Columns `start` to `stop` of `of`."""
    if not 0 <= start <= stop <= of.shape[1]:
        raise ValueError(f"columns {start}:{stop} of {of.shape}")
    if (start, stop) == (0, of.shape[1]):
        return of
    match of:
        case Columns(inner, first, _):
            return Columns(inner, first + start, first + stop)
        case Stack(parts):
            return stack(*(columns(part, start, stop) for part in parts))
        case Times(inner, factor):
            return times(columns(inner, start, stop), factor)
        case Cast(inner, dtype):
            return cast(columns(inner, start, stop), dtype)
        case Zeros(dtype, shape):
            return Zeros(dtype, (shape[0], stop - start, *shape[2:]))
        case Transposed(inner):
            return transposed(rows(inner, start, stop))
        case Padded(inner, left, _):
            return _columns_of_padded(inner, start - left, stop - left)
        case _:
            return Columns(of, start, stop)


def _columns_of_padded(inner: Expr, start: int, stop: int) -> Expr:
    width = inner.shape[1]
    first, last = min(max(start, 0), width), max(min(stop, width), 0)
    if first >= last:
        return Zeros(inner.dtype, (inner.shape[0], stop - start, *inner.shape[2:]))
    return padded(columns(inner, first, last), first - start, stop - last)


def stack(*parts: Expr) -> Expr:
    """`parts` one above the other."""
    merged: list[Expr] = []
    for part in parts:
        for piece in part.parts if isinstance(part, Stack) else (part,):
            if merged and (joined := _joined(merged[-1], piece)) is not None:
                merged[-1] = joined
            else:
                merged.append(piece)
    if len({(part.dtype, part.shape[1:]) for part in merged}) > 1:
        raise ValueError(f"cannot stack {[(part.dtype, part.shape) for part in merged]}")
    return merged[0] if len(merged) == 1 else Stack(tuple(merged))


def _joined(above: Expr, below: Expr) -> Expr | None:
    match above, below:
        case Rows(one, start, middle), Rows(other, again, stop) if one == other and middle == again:
            return rows(one, start, stop)
        case Zeros(dtype, shape), Zeros(same, more) if dtype == same and shape[1:] == more[1:]:
            return Zeros(dtype, (shape[0] + more[0], *shape[1:]))
        case _:
            return None


def padded(of: Expr, left: int, right: int) -> Expr:
    """`of` with `left` and `right` columns of zeros beside it."""
    if not left and not right:
        return of
    match of:
        case Padded(inner, more_left, more_right):
            return Padded(inner, left + more_left, right + more_right)
        case Zeros(dtype, shape):
            return Zeros(dtype, (shape[0], left + shape[1] + right, *shape[2:]))
        case _:
            return Padded(of, left, right)


def times(of: Expr, factor: float) -> Expr:
    """`of` times `factor`."""
    if factor == 1.0:
        return of
    match of:
        case Times(inner, first):
            return times(inner, first * factor)
        case Zeros():
            return of
        case _:
            return Times(of, factor)


def transposed(of: Expr) -> Expr:
    """A matrix with its rows and columns changed."""
    return of.of if isinstance(of, Transposed) else Transposed(of)


def shifted(of: Expr, by: float) -> Expr:
    """`of` plus a number."""
    match of:
        case Shifted(inner, first) if first + by == 0.0:
            return inner
        case _:
            return Shifted(of, by) if by else of


def cast(of: Expr, dtype: str) -> Expr:
    """`of` in `dtype`."""
    if of.dtype == dtype:
        return of
    match of:
        case Zeros(_, shape):
            return Zeros(dtype, shape)
        case Scalar(value, _):
            return Scalar(value, dtype)
        case _:
            return Cast(of, dtype)


def reshaped(of: Expr, shape: Shape) -> Expr:
    """`of` in `shape`."""
    if of.shape == shape:
        return of
    if prod(of.shape) != prod(shape):
        raise ValueError(f"cannot reshape {of.shape} to {shape}")
    match of:
        case Reshaped(inner, _):
            return reshaped(inner, shape)
        case Zeros(dtype, _):
            return Zeros(dtype, shape)
        case _:
            return Reshaped(of, shape)
