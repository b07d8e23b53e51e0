"""A file opened for reading by position. Never mapped: a file cut while read is an error, not a signal."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1 << 20
"""Bytes moved at a time where Python moves them."""

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not hang
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class SourceFile:
    """A regular file, open for reading; knows when it is changed under the reader."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.descriptor = os.open(path, _FLAGS)
        except FileNotFoundError as error:
            raise CheckpointNotFoundError(path) from error
        except OSError as error:
            raise CorruptCheckpointError(path, f"cannot be opened: {error.strerror}") from error
        self._status = os.fstat(self.descriptor)
        if not stat.S_ISREG(self._status.st_mode):
            self.close()
            raise CorruptCheckpointError(path, "is not a regular file")
        self.size = self._status.st_size

    def close(self) -> None:
        """Close the descriptor."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def read(self, start: int, size: int) -> bytes:
        """Exactly `size` bytes from `start`; CorruptCheckpointError where the file has been cut."""
        data = _read_at(self.descriptor, size, start)
        while len(data) < size:
            more = _read_at(self.descriptor, size - len(data), start + len(data))
            if not more:
                raise CorruptCheckpointError(self.path, f"ends at byte {start + len(data)}, inside a tensor",
                                             why="it was cut while it was read")
            data += more
        return data

    def blocks(self, start: int, size: int) -> Iterator[bytes]:
        """The same bytes, a block at a time."""
        while size > 0:
            block = self.read(start, min(size, BLOCK))
            yield block
            start += len(block)
            size -= len(block)

    def check_unchanged(self) -> None:
        """Raise CorruptCheckpointError where the file changed since it was opened."""
        now = os.fstat(self.descriptor)
        if (now.st_size, now.st_mtime_ns) != (self._status.st_size, self._status.st_mtime_ns):
            raise CorruptCheckpointError(self.path, "changed while it was read", hint="run the command again")


def _read_at(descriptor: int, size: int, start: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, start)
    os.lseek(descriptor, start, os.SEEK_SET)
    return os.read(descriptor, size)
