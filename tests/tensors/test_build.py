"""Constructors simplify without changing what an expression stands for: numpy is the judge."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_convert.tensors import build
from lora_convert.tensors.evaluate import computed_blocks, evaluate, held
from lora_convert.tensors.expr import Expr, Padded, Rows, Stack
from lora_convert.tensors.ranges import Range, pieces
from lora_convert.tensors.source import Source

Pair = tuple[Expr, np.ndarray]
MEMORY = np.random.default_rng(1).standard_normal(4096).astype("float32")
"""The file that sources lie in."""


def read(extent: Range) -> bytes:
    return MEMORY.tobytes()[extent.start : extent.start + extent.size]


@st.composite
def sources(draw: st.DrawFn, columns: int | None = None) -> Pair:
    height = draw(st.integers(1, 6))
    width = columns or draw(st.integers(1, 5))
    first = draw(st.integers(0, 1000))
    source = Source(0, "x", "F32", (height, width), 4 * first, 4 * height * width)
    return source, MEMORY[first : first + height * width].reshape(height, width)


@st.composite
def grown(draw: st.DrawFn, pairs: st.SearchStrategy[Pair]) -> Pair:
    """One more constructor on an expression and on its array."""
    expr, array = draw(pairs)
    height, width = array.shape
    kind = draw(st.sampled_from(["rows", "columns", "stack", "padded", "times", "swap"]))
    if kind == "rows":
        start = draw(st.integers(0, height - 1))
        stop = draw(st.integers(start + 1, height))
        return build.rows(expr, start, stop), array[start:stop]
    if kind == "columns":
        start = draw(st.integers(0, width - 1))
        stop = draw(st.integers(start + 1, width))
        return build.columns(expr, start, stop), array[:, start:stop]
    if kind == "stack":
        other, more = draw(sources(columns=width))
        return build.stack(expr, other), np.concatenate([array, more])
    if kind == "padded":
        left, right = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        return build.padded(expr, left, right), np.pad(array, ((0, 0), (left, right)))
    if kind == "times":
        factor = draw(st.sampled_from([1.0, 2.0, 0.5, -4.0]))
        return build.times(expr, factor), array * np.float32(factor)
    half = height // 2
    swapped = (
        build.stack(build.rows(expr, half, height), build.rows(expr, 0, half)) if half else expr
    )
    return swapped, np.roll(array, height - half, 0) if half else array


@settings(max_examples=400, deadline=None)
@given(st.recursive(sources(), grown, max_leaves=8))
def test_an_expression_is_the_array_it_was_built_as(pair: Pair) -> None:
    expr, array = pair
    assert expr.shape == array.shape
    assert expr.dtype == "F32"
    np.testing.assert_array_equal(evaluate(expr, read), array)
    assert b"".join(computed_blocks(expr, read)) == array.astype("float32").tobytes()
    ranges = pieces(expr)
    if ranges is not None:
        copied = b"".join(p if isinstance(p, bytes) else read(p) for p in ranges)
        assert copied == array.tobytes()


@given(sources(), st.data())
def test_taking_a_stack_apart_and_together_gives_back_what_was_stacked(
    pair: Pair, data: st.DataObject
) -> None:
    expr, array = pair
    cuts = sorted({0, array.shape[0], data.draw(st.integers(0, array.shape[0]))})
    parts = [build.rows(expr, start, stop) for start, stop in pairwise(cuts)]
    assert build.stack(*parts) == expr


@given(sources(columns=3), sources(columns=3))
def test_blocks_of_a_diagonal_come_back_as_they_went_in(one: Pair, other: Pair) -> None:
    diagonal = build.stack(build.padded(one[0], 0, 3), build.padded(other[0], 3, 0))
    assert isinstance(diagonal, Stack | Padded)
    top = build.rows(diagonal, 0, one[1].shape[0])
    assert build.columns(top, 0, 3) == one[0]


def test_swapping_halves_twice_is_nothing() -> None:
    source = Source(0, "x", "F32", (6, 2), 0, 48)
    once = build.stack(build.rows(source, 3, 6), build.rows(source, 0, 3))
    twice = build.stack(build.rows(once, 3, 6), build.rows(once, 0, 3))
    assert isinstance(once, Stack)
    assert all(isinstance(part, Rows) for part in once.parts)
    assert twice == source


def test_arrays_in_memory_are_expressions_too() -> None:
    array = np.arange(12, dtype="float16").reshape(3, 4)
    np.testing.assert_array_equal(evaluate(build.rows(held(array), 1, 3), read), array[1:])


def test_what_overflows_is_infinite_and_said_by_nobody_here() -> None:
    with np.errstate(all="raise"):  # numpy would warn on stderr, in a command of ours
        cast = evaluate(build.cast(held(np.array([1e6, 1.0], np.float32)), "F16"), read)
    assert [*cast] == [np.inf, 1.0]
