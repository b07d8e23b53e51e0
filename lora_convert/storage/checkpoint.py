"""An open checkpoint: its header, and its bytes by range."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.header import Header
from lora_convert.storage.compacted import exists
from lora_convert.storage.files import SourceFile
from lora_convert.storage.folders import NO_FILES, weight_files
from lora_convert.storage.kinds import kind_of
from lora_convert.storage.places import is_hub
from lora_convert.storage.safetensors import read_header, read_scalars, unread_scalars
from lora_convert.tensors.source import Source, Strided

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_convert.storage.folders import WeightFiles
    from lora_convert.storage.zip_entries import Checksums
    from lora_convert.tensors.expr import Stored
    from lora_convert.tensors.ranges import Range

_AGAIN = "download or save all shards again"


class Integrity(NamedTuple):
    """How many of the parts of a checkpoint that have a checksum agree with it."""

    checked: int
    total: int
    """None in safetensors files: the format has no checksums."""


class Checkpoint:
    """One file, or several that belong together, open for reading. Close it, or use it in a ``with``."""

    def __init__(self, weights: WeightFiles) -> None:
        weights = weights if weights.files or weights is NO_FILES else weight_files(weights.path)
        self.path = weights.path
        self.weights = weights
        self.files: list[SourceFile] = []
        self._kinds: set[str] = set()
        self._checksums: dict[int, Checksums] = {}
        try:
            self.header = self._read(weights)
        except BaseException:
            self.close()
            raise

    def _read(self, weights: WeightFiles) -> Header:
        header = Header({}, {}, {}, (), {})
        for number, (path, part) in enumerate(zip(weights.files, weights.parts, strict=True)):
            file = _opened(path, weights)
            self.files.append(file)
            found = self._read_one(file, number)
            prefix = f"{part}/" if part else ""
            for name, tensor in found.tensors.items():
                if prefix + name in header.tensors:
                    raise CorruptCheckpointError(path, f"tensor {name!r} is in another file too")
                header.tensors[prefix + name] = tensor
            header.metadata.update(found.metadata)
            if found.unread:
                unread = header.unread.union(prefix + name for name in found.unread)
                header = header._replace(unread=unread)
            header.scalars.update({prefix + name: value for name, value in found.scalars.items()})
            if found.documents or found.rest:
                documents = (
                    *header.documents,
                    *(d._replace(part=d.part or part) for d in found.documents),
                )
                rest = {
                    **header.rest,
                    **{prefix + name: value for name, value in found.rest.items()},
                }
                header = header._replace(documents=documents, rest=rest)
        _check_promises(weights, header)
        return header

    def _read_one(self, file: SourceFile, number: int) -> Header:
        kind = kind_of(file)
        self._kinds.add(kind)
        if kind == "safetensors":
            tensors, metadata = read_header(file, number)
            scalars = read_scalars(file, tensors)
            unread = unread_scalars(tensors, scalars) if is_hub(file.path) else frozenset()
            return Header({**tensors}, metadata, scalars, unread=unread)
        from lora_convert.storage.torch_zip import read_torch_zip

        header, self._checksums[number] = read_torch_zip(file, number)
        sources = {n: tensor for n, tensor in header.tensors.items() if isinstance(tensor, Source)}
        header.scalars.update(read_scalars(file, sources))
        return header

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def container(self) -> str:
        """What the tensors lie in."""
        return self.weights.arrangement.format(" and ".join(sorted(self._kinds)))

    @property
    def integrity(self) -> Integrity:
        """How far the bytes are known to be those that were written."""
        parts = [*self._checksums.values()]
        if len(parts) < len(self.files):
            return Integrity(0, 0)
        total = sum(part.count for part in parts)
        return Integrity(total - sum(len(part.unchecked) for part in parts), total)

    def check_sums(self, tensors: Iterable[Stored]) -> None:
        """Check the bytes of these tensors where the container has checksums of them."""
        starts: dict[int, list[int]] = {number: [] for number in self._checksums}
        for tensor in tensors:
            source = tensor.of if isinstance(tensor, Strided) else tensor
            if isinstance(source, Source) and source.file in starts:
                starts[source.file].append(source.start)
        for number, found in starts.items():
            self._checksums[number].check(found)

    def check_all_sums(self) -> None:
        """Check every byte that the container has a checksum of."""
        for sums in self._checksums.values():
            sums.check_all()

    def read(self, extent: Range) -> bytes:
        """The bytes of a range."""
        return self.files[extent.file].read(extent.start, extent.size)

    def check_unchanged(self) -> None:
        """Raise CorruptCheckpointError where a file changed since it was opened."""
        for file in self.files:
            file.check_unchanged()

    def is_source(self, path: str) -> bool:
        """Whether `path` is one of the files."""
        return any(file.is_at(path) for file in self.files)

    def close(self) -> None:
        """Close all files."""
        for file in self.files:
            file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: str, weights: WeightFiles) -> SourceFile:
    try:
        return _file(path)
    except CheckpointNotFoundError as error:
        if path == weights.path:
            raise
        problem = f"its shard {os.path.basename(path)!r} is not there"
        raise CorruptCheckpointError(weights.path, problem, hint=_AGAIN) from error


def _file(path: str) -> SourceFile:
    """A file as it is, from afar on the Hub, or rebuilt where only its recipe is there."""
    if is_hub(path):
        from lora_convert.storage.remote import hub_file

        return hub_file(path)
    if not os.path.lexists(path) and exists(path):
        from lora_convert.storage.rebuilt import RebuiltFile

        return RebuiltFile.of(path)
    return SourceFile(path)


def _check_promises(weights: WeightFiles, header: Header) -> None:
    missing = [name for name in weights.promised if name not in header.tensors]
    if missing:
        raise CorruptCheckpointError(
            weights.path,
            f"lists {len(missing)} tensors that no shard holds, for example {missing[0]!r}",
            hint=_AGAIN,
        )
