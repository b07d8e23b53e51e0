"""Answers about bytes: are two expressions the same, which columns are zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeAlias

from lora_convert.storage.files import BLOCK
from lora_convert.tensors.approximations import Cut
from lora_convert.tensors.build import rows
from lora_convert.tensors.dtypes import BITS, byte_count
from lora_convert.tensors.expr import Expr, Padded, Stack, Zeros
from lora_convert.tensors.ranges import Range, pieces
from lora_convert.tensors.walk import holds

if TYPE_CHECKING:
    Read: TypeAlias = Callable[[Range], bytes]


class ByteFacts:
    """Facts read from the files themselves, as little of them as decides."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def same(self, one: Expr, other: Expr) -> bool:
        """Whether two expressions have the same dtype, shape and bytes."""
        if one == other:
            return True
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        if any(
            holds(expr, Cut) for expr in (one, other)
        ):  # to decompose them costs more than it saves
            return False
        pairs = zip_longest(even_blocks(one, self._read), even_blocks(other, self._read))
        return all(a == b for a, b in pairs)

    def support(self, expr: Expr) -> tuple[int, int]:
        """Start and stop of the columns outside which every element is zero."""
        width = expr.shape[1]
        if isinstance(expr, Padded):
            return expr.left, expr.left + expr.of.shape[1]
        if isinstance(expr, Stack) and any(isinstance(part, Padded) for part in expr.parts):
            spans = [self.support(part) for part in expr.parts if not isinstance(part, Zeros)]
            return min(first for first, _ in spans), max(last for _, last in spans)
        if pieces(expr) is None or BITS[expr.dtype] % 8 or not all(expr.shape):
            return 0, width
        row = byte_count(expr.dtype, expr.shape[1:])
        first, last = row, 0
        for data in self._whole_rows(expr, row):
            first = next((at for at in range(first) if data[at::row].strip(b"\0")), first)
            last = next(
                (at + 1 for at in range(row - 1, last - 1, -1) if data[at::row].strip(b"\0")), last
            )
            if (first, last) == (0, row):
                break
        column = row // width
        return (first // column, -(-last // column)) if first < last else (0, width)

    def _whole_rows(self, expr: Expr, row: int) -> Iterator[bytes]:
        """The bytes of an expression, in blocks of whole rows of `row` bytes."""
        height, step = expr.shape[0], max(1, BLOCK // row)
        for start in range(0, height, step):
            yield b"".join(blocks(rows(expr, start, min(start + step, height)), self._read))


def blocks(expr: Expr, read: Read) -> Iterator[bytes]:
    """The bytes of an expression, at most about a block at a time."""
    parts = pieces(expr)
    if parts is None:
        from lora_convert.tensors.evaluate import computed_blocks

        yield from computed_blocks(expr, read)
        return
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        for at in range(0, part.size, BLOCK):
            yield read(Range(part.file, part.start + at, min(BLOCK, part.size - at)))


def even_blocks(expr: Expr, read: Read) -> Iterator[bytes]:
    """The same bytes in blocks of equal size, so that two streams can be compared block by block."""
    rest = b""
    for block in blocks(expr, read):
        if not rest and len(block) == BLOCK:
            yield block
            continue
        rest += block
        while len(rest) >= BLOCK:
            yield rest[:BLOCK]
            rest = rest[BLOCK:]
    if rest:
        yield rest
