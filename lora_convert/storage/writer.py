"""Writing planned files: ranges copied by the kernel, the rest computed, all of it checked."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CorruptCheckpointError, VerificationError
from lora_convert.storage.files import BLOCK
from lora_convert.storage.probe import blocks
from lora_convert.tensors.ranges import Range, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lora_convert.planning import TensorFile
    from lora_convert.storage.checkpoint import Checkpoint

STEP = 1 << 27
"""Bytes copied between two reports of progress."""

_UNSUPPORTED = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}


class Copied(NamedTuple):
    """A range of a source that stands at a place of the output."""

    source: Range
    place: int


class Computed(NamedTuple):
    """Bytes that were computed, by their digest."""

    name: str
    place: int
    size: int
    digest: bytes


class Written(NamedTuple):
    """What was written where: all that a check needs."""

    head: bytes
    copied: tuple[Copied, ...]
    computed: tuple[Computed, ...]


def write_tensor_file(
    descriptor: int, file: TensorFile, checkpoint: Checkpoint, progress: Callable[[int], None]
) -> Written:
    """Write `file` to an empty descriptor; `progress` is told of bytes done.

    Ranges are copied in the order they lie in the source, so that a disk reads forward.
    """
    head = file.head()
    _write_all(descriptor, head, 0)
    ranges: list[Copied] = []
    computed: list[Computed] = []
    for name, expr, offset, size in file.layout():
        place = len(head) + offset
        parts = pieces(expr)
        if parts is None or any(isinstance(part, bytes) for part in parts):
            digest = hashlib.sha256()
            at = place
            for block in blocks(expr, checkpoint.read):
                digest.update(block)
                _write_all(descriptor, block, at)
                at += len(block)
            computed.append(Computed(name, place, size, digest.digest()))
            progress(size)
            continue
        at = place
        for part in parts:
            if isinstance(part, Range) and part.size:
                ranges.append(Copied(part, at))
                at += part.size
    copied = _coalesced(ranges)
    for copy in copied:
        for part in _steps(copy):
            _copy(checkpoint, part, descriptor)
            progress(part.source.size)
    return Written(head, tuple(copied), tuple(computed))


def _coalesced(ranges: list[Copied]) -> list[Copied]:
    """Ranges in source order, neighbours that stay neighbours joined."""
    joined: list[Copied] = []
    for copy in sorted(ranges):
        last = joined[-1] if joined else None
        if (last and last.source.file == copy.source.file
                and last.source.start + last.source.size == copy.source.start
                and last.place + last.source.size == copy.place):
            size = last.source.size + copy.source.size
            joined[-1] = Copied(Range(last.source.file, last.source.start, size), last.place)
        else:
            joined.append(copy)
    return joined


def _steps(copy: Copied) -> Iterator[Copied]:
    """A copy in steps short enough to report progress between them."""
    for at in range(0, copy.source.size, STEP):
        size = min(STEP, copy.source.size - at)
        yield Copied(Range(copy.source.file, copy.source.start + at, size), copy.place + at)


def _copy(checkpoint: Checkpoint, copy: Copied, descriptor: int) -> None:
    source = checkpoint.files[copy.source.file]
    done = _copy_in_kernel(source.descriptor, copy, descriptor)
    for block in source.blocks(copy.source.start + done, copy.source.size - done):
        _write_all(descriptor, block, copy.place + done)
        done += len(block)


def _copy_in_kernel(source: int, copy: Copied, descriptor: int) -> int:
    """Copy without passing the bytes through this process; returns how many, 0 where it cannot."""
    if not hasattr(os, "copy_file_range"):
        return 0
    done, size = 0, copy.source.size
    while done < size:
        try:
            moved = os.copy_file_range(source, descriptor, size - done, copy.source.start + done, copy.place + done)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return done
            raise
        if not moved:
            return done
        done += moved
    return done


def _write_all(descriptor: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        if hasattr(os, "pwrite"):
            done = os.pwrite(descriptor, view, place)
        else:
            os.lseek(descriptor, place, os.SEEK_SET)
            done = os.write(descriptor, view)
        view = view[done:]
        place += done


def check_written(descriptor: int, path: str, written: Written, checkpoint: Checkpoint, *, data: bool) -> None:
    """Read a written file back: its header always, with `data` every byte too.

    Raises VerificationError where it is not what was meant to be written, CorruptCheckpointError where
    a source changed meanwhile.
    """
    checkpoint.check_unchanged()
    if _read(descriptor, len(written.head), 0) != written.head:
        raise VerificationError(f"{path}: the header reads back differently", hint="check the disk")
    if not data:
        return
    for copy in written.copied:
        _check_copy(descriptor, path, copy, checkpoint)
    for computed in written.computed:
        digest = hashlib.sha256()
        for at in range(0, computed.size, BLOCK):
            digest.update(_read(descriptor, min(BLOCK, computed.size - at), computed.place + at))
        if digest.digest() != computed.digest:
            raise VerificationError(f"{path}: tensor {computed.name!r} reads back differently", hint="check the disk")
    checkpoint.check_unchanged()


def _check_copy(descriptor: int, path: str, copy: Copied, checkpoint: Checkpoint) -> None:
    place = copy.place
    for block in checkpoint.files[copy.source.file].blocks(copy.source.start, copy.source.size):
        if _read(descriptor, len(block), place) != block:
            raise VerificationError(f"{path}: bytes from {place} read back differently", hint="check the disk")
        place += len(block)


def _read(descriptor: int, size: int, place: int) -> bytes:
    data = b""
    while len(data) < size:
        if hasattr(os, "pread"):
            more = os.pread(descriptor, size - len(data), place + len(data))
        else:
            os.lseek(descriptor, place + len(data), os.SEEK_SET)
            more = os.read(descriptor, size - len(data))
        if not more:
            raise CorruptCheckpointError("output", "ends early")
        data += more
    return data


def same_as_file(file: TensorFile, checkpoint: Checkpoint, path: str) -> bool:
    """Whether an existing file is, byte for byte, what `file` would be written as."""
    if not os.path.isfile(path) or os.path.getsize(path) != file.size:
        return False
    with open(path, "rb") as existing:
        head = file.head()
        if existing.read(len(head)) != head:
            return False
        return all(
            existing.read(len(block)) == block
            for _, expr, _, _ in file.layout()
            for block in blocks(expr, checkpoint.read)
        )
