"""Writing planned files: ranges copied by the kernel, the rest computed, all of it checked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import InputError, VerificationError
from lora_convert.planning import SHARED_BLOCK
from lora_convert.storage.copying import copy_range
from lora_convert.storage.files import BLOCK, SourceFile
from lora_convert.storage.positions import read_at, write_at
from lora_convert.storage.probe import blocks
from lora_convert.tensors.ranges import Range, pieces

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable, Iterable, Iterator

    from lora_convert.planning import TensorFile, TextFile
    from lora_convert.storage.joined import OpenFiles
    from lora_convert.tensors.expr import Expr

STEP = 1 << 27
"""Bytes copied between two reports of progress."""


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
    descriptor: int,
    file: TensorFile,
    checkpoint: OpenFiles,
    progress: Callable[[int], None],
    look: Callable[[str, str, bytes], None] = lambda name, dtype, block: None,
) -> Written:
    """Write `file` to an empty descriptor; `progress` is told of bytes done.

    `look` is shown name, dtype and each block of tensors that are computed, before it is written.

    Ranges are copied in the order they lie in the source, so that a disk reads forward.
    """
    head = file.head()
    write_at(descriptor, head, 0)
    ranges: list[Copied] = []
    computed: list[Computed] = []
    for name, expr, offset, size in file.layout():
        copies = _copies(expr, len(head) + offset)
        if copies is None:
            data = _looked_at(blocks(expr, checkpoint.read), partial(look, name, expr.dtype))
            computed.append(_write_computed(descriptor, name, data, len(head) + offset))
            progress(size)
        else:
            ranges += copies
    copied = _coalesced(ranges)
    write_copies(descriptor, copied, checkpoint, progress)
    return Written(head, tuple(copied), tuple(computed))


def write_copies(
    descriptor: int,
    copied: Iterable[Copied],
    checkpoint: OpenFiles,
    progress: Callable[[int], None],
) -> None:
    """Copy ranges to their places; `progress` is told of bytes done."""
    for copy in copied:
        for step in _steps(copy):
            source = checkpoint.files[step.source.file]
            copy_range(source, step.source.start, step.source.size, descriptor, step.place)
            progress(step.source.size)


def write_text_file(descriptor: int, file: TextFile, path: str) -> None:
    """Write a document to an empty descriptor; VerificationError where it reads back differently."""
    data = file.text.encode()
    write_at(descriptor, data, 0)
    if read_at(descriptor, len(data) + 1, 0) != data:
        raise _differs(path, "the document")


def _copies(expr: Expr, place: int) -> list[Copied] | None:
    """The ranges that make up a tensor at `place`; None where it is not all ranges."""
    copies: list[Copied] = []
    for piece in pieces(expr) or (b"",):
        if not isinstance(piece, Range):
            return None
        if piece.size:
            copies.append(Copied(piece, place))
        place += piece.size
    return copies


def _looked_at(data: Iterable[bytes], look: Callable[[bytes], None]) -> Iterator[bytes]:
    for block in data:
        look(block)
        yield block


def _write_computed(descriptor: int, name: str, data: Iterable[bytes], place: int) -> Computed:
    digest = _digest()
    at = place
    for block in data:
        digest.update(block)
        write_at(descriptor, block, at)
        at += len(block)
    return Computed(name, place, at - place, digest.digest())


def _digest() -> hashlib._Hash:
    import hashlib

    return hashlib.sha256()


def _coalesced(ranges: list[Copied]) -> list[Copied]:
    """Ranges in source order, neighbours that stay neighbours joined."""
    joined: list[Copied] = []
    for copy in sorted(ranges):
        last = joined[-1] if joined else None
        if (
            last
            and last.source.file == copy.source.file
            and last.source.start + last.source.size == copy.source.start
            and last.place + last.source.size == copy.place
        ):
            size = last.source.size + copy.source.size
            joined[-1] = Copied(Range(last.source.file, last.source.start, size), last.place)
        else:
            joined.append(copy)
    return joined


def _steps(copy: Copied) -> Iterator[Copied]:
    """A copy in steps short enough to report progress between them.

    Where the two places lie alike in their blocks, all steps but the first begin with a block: file
    systems that can (btrfs, XFS, bcachefs) then share the blocks instead of copying them.
    """
    alike = (copy.place - copy.source.start) % SHARED_BLOCK == 0
    at, size = 0, (alike and -copy.place % SHARED_BLOCK) or STEP
    while at < copy.source.size:
        size = min(size, copy.source.size - at)
        yield Copied(Range(copy.source.file, copy.source.start + at, size), copy.place + at)
        at, size = at + size, STEP


def check_written(
    descriptor: int, path: str, written: Written, checkpoint: OpenFiles, *, data: bool
) -> None:
    """Read a written file back: its header always, with `data` every byte too.

    Raises VerificationError where it is not what was meant to be written, CorruptCheckpointError where
    a source changed meanwhile.
    """
    checkpoint.check_unchanged()
    if read_at(descriptor, len(written.head), 0) != written.head:
        raise _differs(path, "the header")
    if not data:
        return
    for copy in written.copied:
        _check_copy(descriptor, path, copy, checkpoint)
    for computed in written.computed:
        digest = _digest()
        for at in range(0, computed.size, BLOCK):
            size = min(BLOCK, computed.size - at)
            digest.update(read_at(descriptor, size, computed.place + at))
        if digest.digest() != computed.digest:
            raise _differs(path, f"tensor {computed.name!r}")
    checkpoint.check_unchanged()


def _check_copy(descriptor: int, path: str, copy: Copied, checkpoint: OpenFiles) -> None:
    place = copy.place
    for block in checkpoint.files[copy.source.file].blocks(copy.source.start, copy.source.size):
        if read_at(descriptor, len(block), place) != block:
            raise _differs(path, f"a range near byte {place:,}")
        place += len(block)


def _differs(path: str, what: str) -> VerificationError:
    return VerificationError(
        f"{path}: {what} reads back differently", why="nothing was published", hint="check the disk"
    )


def same_as_file(file: TensorFile, checkpoint: OpenFiles, path: str) -> bool:
    """Whether an existing file is, byte for byte, what `file` would be written as."""
    try:
        existing = SourceFile(path)
    except InputError:  # a folder, a device, or not ours to read: at any rate not the same
        return False
    try:
        return existing.size == file.size and all(
            existing.read(place, len(block)) == block for place, block in _content(file, checkpoint)
        )
    finally:
        existing.close()


def _content(file: TensorFile, checkpoint: OpenFiles) -> Iterator[tuple[int, bytes]]:
    """What `file` would be written as, with places."""
    head = file.head()
    yield 0, head
    for _, expr, offset, _ in file.layout():
        place = len(head) + offset
        for block in blocks(expr, checkpoint.read):
            yield place, block
            place += len(block)
