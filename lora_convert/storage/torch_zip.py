"""Reading the zip files that ``torch.save`` writes (torch 1.6 and newer), without torch.

Tensors stay where they lie: what comes back are places and shapes, each checked against its storage.
"""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CorruptCheckpointError, UnknownFormatError
from lora_convert.header import Document, Header
from lora_convert.storage.kinds import resave
from lora_convert.storage.payload import Payload, take_apart
from lora_convert.storage.pickled import UNNAMED, Tensor
from lora_convert.storage.unpickling import unpickle
from lora_convert.storage.zip_entries import Checksums, Entry, read_entries
from lora_convert.tensors.dtypes import BITS
from lora_convert.tensors.expr import Held, Stored
from lora_convert.tensors.source import Source, Strided

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lora_convert.storage.files import SourceFile

MAX_PICKLE = 64 << 20
"""Bytes, without tensors."""
MOST_SHARING = 16
"""Times its own size that the tensors of a file may have: tied weights share, attacks share more."""
_MAX_DIMENSIONS = 64


def read_torch_zip(file: SourceFile, number: int) -> tuple[Header, Checksums]:
    """What a torch checkpoint says, and the checksums of its entries, of which small ones are checked.

    `number` is the file's place in its checkpoint.
    """
    tree, views, checksums = _opened(file, number)
    return _header(take_apart(tree, file.path), views), checksums


def check_torch_zip(file: SourceFile) -> None:
    """Check a torch file that torch itself is to read: all checksums, all names, all places of tensors.

    CorruptCheckpointError, UnsafePickleError or UnknownFormatError where anything is not as it must be.
    """
    _, _, checksums = _opened(file, 0)
    checksums.check_all()


def _opened(file: SourceFile, number: int) -> tuple[object, _Views, Checksums]:
    """The value of a file's pickle, with tensors as places, which are in their storages."""
    entries = read_entries(file)
    checksums = Checksums(file, entries.values())
    pickle = _pickle(file, entries)
    checksums.check_small(pickle)
    prefix = pickle.name.removesuffix("data.pkl")
    _check_byte_order(file, entries.get(f"{prefix}byteorder"))
    data = f"{prefix}data/"
    storages = {name.removeprefix(data): e for name, e in entries.items() if name.startswith(data)}
    views = _Views(file, number, storages)
    tree, tensors = unpickle(file.read(pickle.start, pickle.size), file.path)
    views.check(tensors)
    return tree, views, checksums


def _pickle(file: SourceFile, entries: Mapping[str, Entry]) -> Entry:
    found = [entry for name, entry in entries.items() if name.endswith("/data.pkl")]
    if any(name.endswith("/constants.pkl") for name in entries):
        raise UnknownFormatError(file.path, known_as="a TorchScript module")
    if len(found) != 1:
        raise UnknownFormatError(file.path, known_as="a zip archive that torch.save did not write")
    for entry in entries.values():
        if entry.compressed:
            raise CorruptCheckpointError(
                file.path,
                f"its zip entry {entry.name!r} is compressed",
                why="torch.save stores entries as they are, and only those are read",
                hint="unzip it, and zip it again with zip -0",
            )
    if found[0].size > MAX_PICKLE:
        problem = f"its pickle has {found[0].size:,} bytes; the limit is {MAX_PICKLE:,}"
        raise CorruptCheckpointError(file.path, problem)
    return found[0]


def _check_byte_order(file: SourceFile, entry: Entry | None) -> None:
    if entry is not None and file.read(entry.start, min(entry.size, 16)) != b"little":
        raise UnknownFormatError(
            file.path, known_as="a torch checkpoint of a big-endian machine", hint=resave(file.path)
        )


def _header(payload: Payload, views: _Views) -> Header:
    views.check_size(payload.tensors.values())
    tensors: dict[str, Stored] = {
        name: views.stored(name, tensor) for name, tensor in payload.tensors.items()
    }
    scalars: dict[str, tuple[float, ...]] = {
        name: (value,) for name, value in payload.numbers.items()
    }
    tensors |= {
        name: Held(struct.pack("<d", value), "F64", ()) for name, value in payload.numbers.items()
    }
    documents = tuple(
        Document(
            f"{views.file.path} ({config.place})",
            config.component,
            config.certain,
            config.data,
            config.adapter,
        )
        for config in payload.configs
    )
    return Header(tensors, payload.metadata, scalars, documents, payload.rest)


class _Views(NamedTuple):
    """The storages of a file, by key."""

    file: SourceFile
    number: int
    entries: Mapping[str, Entry]

    def check(self, tensors: Iterable[Tensor]) -> None:
        """Raise CorruptCheckpointError where tensors leave their storages."""
        dtypes: dict[str, str] = {}
        for tensor in tensors:
            storage = tensor.storage
            if dtypes.setdefault(storage.key, storage.dtype) != storage.dtype:
                raise self._broken(f"storage {storage.key!r} has two dtypes")
            self._check_one(tensor)

    def check_size(self, tensors: Iterable[Tensor]) -> None:
        """Raise CorruptCheckpointError where tensors claim too much together."""
        total = sum(prod(tensor.shape) * _width(tensor.dtype) for tensor in tensors)
        if total > MOST_SHARING * self.file.size:
            problem = f"its tensors claim {total:,} bytes, the file has {self.file.size:,}"
            raise CorruptCheckpointError(
                self.file.path, problem, why="they repeat the same bytes again and again"
            )

    def _check_one(self, tensor: Tensor) -> None:
        storage = tensor.storage
        entry = self.entries.get(storage.key)
        if entry is None:
            raise self._broken(f"storage {storage.key[:80]!r} is not there")
        if entry.size != storage.length * _width(storage.dtype):
            claim = f"{storage.length:,} {storage.dtype}"
            raise self._broken(f"storage {storage.key!r} of {claim} has {entry.size:,} bytes")
        if len(tensor.shape) > _MAX_DIMENSIONS:
            raise self._broken(f"a tensor has {len(tensor.shape)} dimensions")
        if prod(tensor.shape) and _end(tensor) * _width(tensor.dtype) > entry.size:
            raise self._broken(f"a tensor of shape {list(tensor.shape)} leaves its storage")

    def stored(self, name: str, tensor: Tensor) -> Stored:
        """A checked tensor, where it lies."""
        if tensor.dtype not in BITS:
            problem = f"tensor {name!r} is {tensor.dtype}, for which safetensors has no name"
            raise CorruptCheckpointError(self.file.path, problem)
        width = _width(tensor.dtype)
        count = prod(tensor.shape)
        start = self.entries[tensor.storage.key].start + (tensor.offset * width if count else 0)
        if _is_contiguous(tensor):
            return Source(self.number, name, tensor.dtype, tensor.shape, start, count * width)
        span = _end(tensor) - tensor.offset
        elements = Source(self.number, name, tensor.dtype, (span,), start, span * width)
        return Strided(elements, tensor.shape, tensor.strides)

    def _broken(self, problem: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(self.file.path, problem, hint="save the file again")


def _width(dtype: str) -> int:
    """Bytes of an element."""
    return (BITS.get(dtype) or UNNAMED[dtype]) // 8


def _end(tensor: Tensor) -> int:
    """One more than the place of the last element in the storage."""
    steps = zip(tensor.shape, tensor.strides, strict=True)
    return tensor.offset + 1 + sum((length - 1) * stride for length, stride in steps)


def _is_contiguous(tensor: Tensor) -> bool:
    """Whether the elements lie one after the other in the order of the indices."""
    if not prod(tensor.shape):
        return True
    step = 1
    for length, stride in zip(reversed(tensor.shape), reversed(tensor.strides), strict=True):
        if length != 1 and stride != step:
            return False
        step *= length
    return True
