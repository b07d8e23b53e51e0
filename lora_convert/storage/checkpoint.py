"""An open checkpoint: its header, and its bytes by range."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.header import Header
from lora_convert.storage.files import SourceFile
from lora_convert.storage.folders import NO_FILES, weight_files
from lora_convert.storage.safetensors import read_header, read_scalars

if TYPE_CHECKING:
    from types import TracebackType

    from lora_convert.storage.folders import WeightFiles
    from lora_convert.tensors.ranges import Range

_AGAIN = "download or save all shards again"


class Checkpoint:
    """One file, or several that belong together, open for reading. Close it, or use it in a ``with``."""

    def __init__(self, weights: WeightFiles) -> None:
        weights = weights if weights.files or weights is NO_FILES else weight_files(weights.path)
        self.path = weights.path
        self.weights = weights
        self.files: list[SourceFile] = []
        try:
            self.header = self._read(weights)
        except BaseException:
            self.close()
            raise

    def _read(self, weights: WeightFiles) -> Header:
        header = Header({}, {}, {})
        for number, (path, part) in enumerate(zip(weights.files, weights.parts, strict=True)):
            file = _opened(path, weights)
            self.files.append(file)
            tensors, metadata = read_header(file, number)
            prefix = f"{part}/" if part else ""
            for name, source in tensors.items():
                if prefix + name in header.tensors:
                    raise CorruptCheckpointError(path, f"tensor {name!r} is in another file too")
                header.tensors[prefix + name] = source
            header.metadata.update(metadata)
            header.scalars.update({prefix + k: v for k, v in read_scalars(file, tensors).items()})
        _check_promises(weights, header)
        return header

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def container(self) -> str:
        """What the tensors lie in."""
        return self.weights.kind

    def read(self, extent: Range) -> bytes:
        """The bytes of a range."""
        return self.files[extent.file].read(extent.start, extent.size)

    def check_unchanged(self) -> None:
        """Raise CorruptCheckpointError where a file changed since it was opened."""
        for file in self.files:
            file.check_unchanged()

    def is_source(self, path: str) -> bool:
        """Whether `path` is one of the files."""
        return any(
            os.path.exists(path) and os.path.samefile(path, file.path) for file in self.files
        )

    def close(self) -> None:
        """Close all files."""
        for file in self.files:
            file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _opened(path: str, weights: WeightFiles) -> SourceFile:
    try:
        return SourceFile(path)
    except CheckpointNotFoundError as error:
        if path == weights.path:
            raise
        problem = f"its shard {os.path.basename(path)!r} is not there"
        raise CorruptCheckpointError(weights.path, problem, hint=_AGAIN) from error


def _check_promises(weights: WeightFiles, header: Header) -> None:
    missing = [name for name in weights.promised if name not in header.tensors]
    if missing:
        raise CorruptCheckpointError(
            weights.path,
            f"lists {len(missing)} tensors that no shard holds, for example {missing[0]!r}",
            hint=_AGAIN,
        )
