"""Answers about bytes: are two expressions the same, which columns are zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeAlias

from lora_convert.storage.files import BLOCK
from lora_convert.tensors.build import rows
from lora_convert.tensors.dtypes import BITS
from lora_convert.tensors.expr import Expr, Padded
from lora_convert.tensors.ranges import Range, pieces

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
        return all(a == b for a, b in zip_longest(even_blocks(one, self._read), even_blocks(other, self._read)))

    def support(self, expr: Expr) -> tuple[int, int]:
        """Start and stop of the columns outside which every element is zero."""
        width = expr.shape[1]
        if isinstance(expr, Padded):
            return expr.left, expr.left + expr.of.shape[1]
        element = BITS[expr.dtype] // 8
        for length in expr.shape[2:]:
            element *= length
        if pieces(expr) is None or BITS[expr.dtype] % 8 or not width:
            return 0, width
        first, last = width, 0
        for row in range(expr.shape[0]):
            data = b"".join(blocks(rows(expr, row, row + 1), self._read))
            filled = data.rstrip(b"\0")
            last = max(last, -(-len(filled) // element))
            first = min(first, (len(data) - len(data.lstrip(b"\0"))) // element)
            if first == 0 and last == width:
                return 0, width
        return (first, last) if first < last else (0, width)


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
