"""Tensors of this process, read as files are: by number and place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.storage.files import SourceFile

if TYPE_CHECKING:
    from lora_convert.tensors.ranges import Range


class MemoryFile(SourceFile):
    """Bytes in memory. It has no descriptor: nothing is mapped, cloned or copied by the kernel."""

    def __init__(self, name: str, data: memoryview) -> None:
        self.path = name
        self.descriptor = -1
        self.size = len(data)
        self._data = data

    def read(self, start: int, size: int) -> bytes:
        """Exactly `size` bytes from `start`."""
        return bytes(self._data[start : start + size])

    def is_at(self, path: str) -> bool:
        """It is at no path."""
        return False

    def check_unchanged(self) -> None:
        """What is written is compared with it."""


class Memory:
    """Several of them, as the files that expressions are read from."""

    def __init__(self) -> None:
        self.files: list[SourceFile] = []

    def add(self, name: str, data: memoryview) -> int:
        """Take up some bytes; returns the number of their file."""
        self.files.append(MemoryFile(name, data))
        return len(self.files) - 1

    def read(self, extent: Range) -> bytes:
        """The bytes of a range."""
        return self.files[extent.file].read(extent.start, extent.size)

    def check_unchanged(self) -> None:
        """What is written is compared with it."""
