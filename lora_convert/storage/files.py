"""A file opened for reading by position. Never mapped: a file cut while read is an error, not a signal."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.storage.positions import read_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK = 1 << 17
"""Bytes moved at a time where Python moves them."""

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not hang
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class SourceFile:
    """A regular file, open for reading; knows when it is changed under the reader."""

    digest = ""
    """Its SHA-256, where that is known without reading it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = -1
        try:
            if stat.S_ISREG(os.stat(path).st_mode):  # asked first: opening a device can act on it
                self.descriptor = os.open(path, _FLAGS)
        except FileNotFoundError as error:
            raise CheckpointNotFoundError(path) from error
        except OSError as error:
            raise CorruptCheckpointError(path, f"cannot be opened: {error.strerror}") from error
        if self.descriptor < 0 or not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            self.close()
            raise CorruptCheckpointError(path, "is not a regular file")
        self._status = os.fstat(self.descriptor)
        self.size = self._status.st_size

    def close(self) -> None:
        """Close the descriptor."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def read(self, start: int, size: int) -> bytes:
        """Exactly `size` bytes from `start`; CorruptCheckpointError where the file has been cut."""
        try:
            data = read_at(self.descriptor, size, start)
        except OSError as error:
            raise CorruptCheckpointError(
                self.path,
                f"cannot be read at byte {start:,}: {error.strerror}",
                hint="check the disk",
            ) from error
        if len(data) < size:
            raise CorruptCheckpointError(
                self.path, f"ends at byte {start + len(data):,}", why="it was cut while it was read"
            )
        return data

    def near(self, extents: Iterable[tuple[int, int]]) -> list[bool]:
        """Which of some places can be read for nothing: all of a file that is on this machine."""
        return [True for _ in extents]

    def blocks(self, start: int, size: int) -> Iterator[bytes]:
        """The same bytes, a block at a time."""
        while size > 0:
            block = self.read(start, min(size, BLOCK))
            yield block
            start += len(block)
            size -= len(block)

    def is_at(self, path: str) -> bool:
        """Whether `path` is this file, by any of its names."""
        return os.path.exists(path) and os.path.samefile(path, self.path)

    def check_unchanged(self) -> None:
        """Raise CorruptCheckpointError where the file changed since it was opened."""
        now = os.fstat(self.descriptor)
        if _marks(now) != _marks(self._status):
            raise CorruptCheckpointError(
                self.path, "changed while it was read", hint="run the command again"
            )


def _marks(status: os.stat_result) -> tuple[int, int, int]:
    """What changes with a file; its owner can set the second of them back, and not the third."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
