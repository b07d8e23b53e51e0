"""Files with the same content, told apart as early as their bytes allow. Nothing is hashed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from lora_convert.storage.positions import read_at

_BLOCK = 1 << 17
"""Bytes of each file that are compared at a time."""
_SAMPLE = 1 << 12
"""Bytes that are looked at first: at the beginning, in the middle and at the end."""
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)


class Sized(NamedTuple):
    """A regular file and its size; no two of those that are compared are one file."""

    path: str
    size: int


class Same(NamedTuple):
    """What comparing came to."""

    groups: tuple[tuple[Sized, ...], ...]
    """Files of one content, in the order in which they were given."""
    undecided: tuple[Sized, ...]
    """Files of which there may be another, had more been read."""


def same_content(files: Iterable[Sized], most: int) -> Same:
    """Which files have the same content, the smaller first, until `most` bytes have been read.

    Files that are gone, cut or cannot be read are the same as no other.
    """
    groups: list[tuple[Sized, ...]] = []
    undecided: list[Sized] = []
    for size, some in groupby(sorted(files, key=_size), key=_size):
        for alike in _parted([*some], [0, size // 2, max(0, size - _SAMPLE)], _SAMPLE):
            if size * len(alike) > most:
                undecided += alike
                continue
            parts = [alike]
            for start in range(0, size, _BLOCK):
                if not parts:
                    break
                most -= sum(map(len, parts)) * min(_BLOCK, size - start)
                parts = [new for part in parts for new in _parted(part, [start], _BLOCK)]
            groups += map(tuple, parts)
    return Same(tuple(groups), tuple(undecided))


def _size(file: Sized) -> int:
    return file.size


def _parted(files: list[Sized], starts: list[int], length: int) -> list[list[Sized]]:
    """The groups of at least two files that have the same bytes there."""
    found: dict[bytes, list[Sized]] = {}
    for file in files if len(files) > 1 else ():
        wanted = sum(min(length, file.size - start) for start in starts)
        data = _bytes(file.path, starts, length)
        if len(data) == wanted:
            found.setdefault(data, []).append(file)
    return [group for group in found.values() if len(group) > 1]


def _bytes(path: str, starts: list[int], length: int) -> bytes:
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            return b"".join(read_at(descriptor, length, start) for start in starts)
        finally:
            os.close(descriptor)
    except OSError:
        return b""
