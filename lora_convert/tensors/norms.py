"""Norms of products of factors and of vectors, in float64, without building the products."""

from __future__ import annotations

from math import isnan, prod, sqrt
from typing import TYPE_CHECKING

from lora_convert.tensors.arithmetic import Product
from lora_convert.tensors.build import reshaped, rows
from lora_convert.tensors.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.tensors.evaluate import Array, Read
    from lora_convert.tensors.expr import Expr

_STEP = 1 << 18
"""Elements of a factor held at a time."""
_BLOCK = 1 << 21
"""Elements of a product held at a time: some are taken apart for each block."""


def product_difference(one: Product, other: Product, read: Read) -> float:
    """‖one − other‖ / ‖one‖, Frobenius; zero where both are zero, infinite where shapes differ.

    Elements that are not finite must stand at the same places and are left out; else the difference is
    infinite.
    """
    one, other = (Product(_flat(p.up), _flat(p.down), p.factor) for p in (one, other))
    if (one.up.shape[0], one.down.shape[1]) != (other.up.shape[0], other.down.shape[1]):
        return float("inf")
    if one.up.shape[1] == other.up.shape[1]:
        return _of_one_rank(one, other, read)
    return _of_two_ranks(one, other, read)


def _of_one_rank(one: Product, other: Product, read: Read) -> float:
    """U₁D₁ − U₂D₂ = (U₁ − U₂)·D₁ + U₂·(D₁ − D₂), with the scales in U.

    Differences are formed before they are multiplied, so Gram matrices lose nothing, and factors are
    read once, in blocks.
    """
    import numpy

    rank = one.up.shape[1]
    ups, downs = numpy.zeros((2 * rank, 2 * rank)), numpy.zeros((2 * rank, 2 * rank))
    norm = numpy.zeros((rank, rank))
    for first, second in _pairs(one.up, other.up, read):
        if not _same_gaps(first, second):
            return float("inf")
        ours, theirs = first * one.factor, second * other.factor
        side = numpy.hstack([ours - theirs, theirs])
        ups += side.T @ side
        norm += ours.T @ ours
    down_norm = numpy.zeros((rank, rank))
    for first, second in _column_pairs(one.down, other.down, read):
        if not _same_gaps(first, second):
            return float("inf")
        side = numpy.vstack([first, first - second])
        downs += side @ side.T
        down_norm += first @ first.T
    difference = max(float(numpy.vdot(ups, downs)), 0.0)
    return _ratio(sqrt(difference), sqrt(max(float(numpy.vdot(norm, down_norm)), 0.0)))


def _of_two_ranks(one: Product, other: Product, read: Read) -> float:
    """By QR of the factors side by side: the norm is that of a small matrix."""
    import numpy

    up = numpy.hstack([_whole(one.up, read) * one.factor, _whole(other.up, read) * -other.factor])
    down = numpy.vstack([_whole(one.down, read), _whole(other.down, read)])
    rank = one.up.shape[1]
    return _ratio(_product_norm(up, down), _product_norm(up[:, :rank], down[:rank]))


def _flat(factor: Expr) -> Expr:
    """A factor as a matrix."""
    width = 1
    for length in factor.shape[1:]:
        width *= length
    return reshaped(factor, (factor.shape[0], width))


def _whole(factor: Expr, read: Read) -> Array:
    return evaluate(factor, read).astype("float64")


def _pairs(
    one: Expr, other: Expr, read: Read, elements: int = _STEP
) -> Iterator[tuple[Array, Array]]:
    """Two matrices of one shape, a block of rows at a time; both may be changed."""
    step = max(1, elements // max(one.shape[1], 1))
    for start in range(0, one.shape[0], step):
        stop = min(start + step, one.shape[0])
        yield tuple(evaluate(rows(e, start, stop), read).astype("float64") for e in (one, other))  # type: ignore[misc]


def _column_pairs(one: Expr, other: Expr, read: Read) -> Iterator[tuple[Array, Array]]:
    """Two matrices of one shape, a block of columns at a time."""
    first, second = evaluate(one, read), evaluate(other, read)
    step = max(1, _STEP // max(one.shape[0], 1))
    for start in range(0, one.shape[1], step):
        yield tuple(m[:, start : start + step].astype("float64") for m in (first, second))  # type: ignore[misc]


def _same_gaps(one: Array, other: Array) -> bool:
    """Whether two arrays are not finite at the same places; those are zeroed."""
    import numpy

    gaps = ~numpy.isfinite(one)
    if not numpy.array_equal(gaps, ~numpy.isfinite(other)):
        return False
    one[gaps] = other[gaps] = 0.0
    return True


def _product_norm(up: Array, down: Array) -> float:
    import numpy

    if not up.any():
        return 0.0
    left = numpy.asarray(numpy.linalg.qr(up, mode="r"))
    right = numpy.asarray(numpy.linalg.qr(down.T, mode="r"))
    return float(numpy.linalg.norm(left @ right.T))


def _ratio(difference: float, norm: float) -> float:
    """The quotient; a NaN anywhere is an infinite difference."""
    if difference == 0.0:
        return 0.0
    quotient = difference / norm if norm else float("inf")
    return float("inf") if isnan(quotient) else quotient


def difference(one: Expr, other: Expr, read: Read) -> float:
    """‖one − other‖ / ‖one‖ of two tensors of as many rows and elements, a block of rows at a time."""
    import numpy

    if one.shape[:1] != other.shape[:1] or prod(one.shape) != prod(other.shape):
        return float("inf")
    one, other = _flat(one), _flat(other)
    apart = norm = 0.0
    for first, second in _pairs(one, other, read, _BLOCK):
        if not _same_gaps(first, second):
            return float("inf")
        apart += float(numpy.square(first - second).sum())
        norm += float(numpy.square(first).sum())
    return _ratio(sqrt(apart), sqrt(norm))


def finite_and_zero(expr: Expr, read: Read) -> tuple[bool, bool]:
    """Whether all elements are finite, and whether all are zero."""
    import numpy

    if 0 in expr.shape:  # of any number of rows
        return True, True
    finite, zero = True, True
    flat = _flat(expr) if expr.shape else reshaped(expr, (1, 1))
    step = max(1, _STEP // max(flat.shape[1], 1))
    for start in range(0, flat.shape[0], step):
        values = evaluate(rows(flat, start, min(start + step, flat.shape[0])), read)
        finite = finite and bool(numpy.isfinite(values.astype("float64")).all())
        zero = zero and not values.any()
    return finite, zero


def inner_product(one: Expr, other: Expr, read: Read) -> float:
    """⟨one, other⟩ of two tensors of as many rows and elements, Frobenius.

    Of two products from matrices of the size of their ranks, of others a block of rows at a time.
    """
    import numpy

    if not (isinstance(one, Product) and isinstance(other, Product)):
        pairs = _pairs(_flat(one), _flat(other), read, _BLOCK)
        return sum(float(numpy.vdot(first, second)) for first, second in pairs)
    ups = _whole(_flat(one.up), read).T @ _whole(_flat(other.up), read)
    downs = _whole(_flat(one.down), read) @ _whole(_flat(other.down), read).T
    return float(numpy.vdot(ups, downs)) * one.factor * other.factor
