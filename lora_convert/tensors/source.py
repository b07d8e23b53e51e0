"""A tensor that lies in a file."""

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
