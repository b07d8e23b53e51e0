"""Tensors that lie in a file."""

from __future__ import annotations

from typing import NamedTuple


class Source(NamedTuple):
    """A tensor of an open checkpoint, by its place."""

    file: int
    """Index into the checkpoint's files."""
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """Offset of the first byte, from the beginning of the file."""
    size: int
    """Bytes."""


class Strided(NamedTuple):
    """A tensor whose elements do not lie one after the other: transposed, or a part of another."""

    of: Source
    """The elements from its first to its last, in one dimension."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Elements of `of` from one index to the next, by dimension."""

    @property
    def dtype(self) -> str:
        """The dtype of its elements."""
        return self.of.dtype
