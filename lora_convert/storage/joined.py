"""Several open checkpoints read as one: their files counted through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lora_convert.tensors.expr import Held
from lora_convert.tensors.source import Source, Strided

if TYPE_CHECKING:
    from lora_convert.storage.checkpoint import Checkpoint
    from lora_convert.storage.files import SourceFile
    from lora_convert.tensors.expr import Stored
    from lora_convert.tensors.ranges import Range


class OpenFiles(Protocol):
    """What expressions are read from: files by number."""

    files: list[SourceFile]

    def read(self, extent: Range) -> bytes:
        """The bytes of a range."""

    def check_unchanged(self) -> None:
        """Raise CorruptCheckpointError where a file changed since it was opened."""


class Joined:
    """Open checkpoints, one after another. What is read from one must be `moved` by its place."""

    def __init__(self, *checkpoints: Checkpoint) -> None:
        self.checkpoints = checkpoints
        self.path = checkpoints[0].path
        """Of the first."""
        self.files: list[SourceFile] = [file for one in checkpoints for file in one.files]

    def read(self, extent: Range) -> bytes:
        """The bytes of a range."""
        return self.files[extent.file].read(extent.start, extent.size)

    def check_unchanged(self) -> None:
        """Raise CorruptCheckpointError where a file changed since it was opened."""
        for checkpoint in self.checkpoints:
            checkpoint.check_unchanged()

    def is_source(self, path: str) -> bool:
        """Whether `path` is one of the files."""
        return any(checkpoint.is_source(path) for checkpoint in self.checkpoints)

    def close(self) -> None:
        """Close all files."""
        for checkpoint in self.checkpoints:
            checkpoint.close()


def moved(tensor: Stored, by: int) -> Stored:
    """A tensor of a checkpoint whose files are counted from `by`."""
    match tensor:
        case Source():
            return tensor._replace(file=tensor.file + by)
        case Strided(source):
            return tensor._replace(of=source._replace(file=source.file + by))
        case Held():
            return tensor
