"""A safetensors file with other metadata: a new header before the same data, which is copied as it lies."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import (
    CorruptCheckpointError,
    DestinationExistsError,
    InputError,
    NotExpressibleError,
)
from lora_convert.planning import SHARED_FROM, head_of
from lora_convert.storage.atomic import check_space, staged_file
from lora_convert.storage.files import SourceFile
from lora_convert.storage.flushing import Flushing
from lora_convert.storage.positions import write_at
from lora_convert.storage.safetensors import MAX_HEADER, read_header
from lora_convert.storage.writer import Copied, Written, check_written, write_copies
from lora_convert.tensors.ranges import Range

if TYPE_CHECKING:
    from lora_convert.storage.checkpoint import Checkpoint


class Relabelling(NamedTuple):
    """A safetensors file, open, as it is to be with other metadata."""

    checkpoint: Checkpoint
    """Of one file."""
    head: bytes
    """All before the data."""
    start: int
    """Where the data begins in the file as it is."""

    @property
    def file(self) -> SourceFile:
        """The file as it is."""
        return self.checkpoint.files[0]

    @property
    def size(self) -> int:
        """Bytes of the file as it is to be."""
        return len(self.head) + self.file.size - self.start

    def is_at(self, path: str) -> bool:
        """Whether a file is this, byte for byte."""
        try:
            there = SourceFile(path)
        except InputError:
            return False
        try:
            if there.size != self.size or there.read(0, len(self.head)) != self.head:
                return False
            ours = self.file.blocks(self.start, self.file.size - self.start)
            theirs = there.blocks(len(self.head), there.size - len(self.head))
            return all(one == other for one, other in zip(ours, theirs, strict=True))
        finally:
            there.close()

    def hash(self) -> str:
        """The SHA-256 of the data."""
        import hashlib

        digest = hashlib.sha256()
        for block in self.file.blocks(self.start, self.file.size - self.start):
            digest.update(block)
        return digest.hexdigest()


def relabelling(checkpoint: Checkpoint, metadata: Mapping[str, str]) -> Relabelling:
    """What a file of one checkpoint is with `metadata`; its tensors stay where they are in the data.

    NotExpressibleError where its header would be longer than the format allows.
    """
    file = checkpoint.files[0]
    start = 8 + int.from_bytes(file.read(0, 8), "little")
    tensors, _ = read_header(file, 0)
    entries: dict[str, object] = (
        {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    )
    for name, source in tensors.items():
        at = source.start - start
        entries[name] = {
            "dtype": source.dtype,
            "shape": list(source.shape),
            "data_offsets": [at, at + source.size],
        }
    shared = start % 8 == 0 and file.size - start >= SHARED_FROM
    head = head_of(entries, start if shared else None)
    if len(head) - 8 > MAX_HEADER:
        raise NotExpressibleError(
            f"{file.path}: its header would have {len(head) - 8:,} bytes",
            why=f"safetensors allows {MAX_HEADER:,}",
            hint="give shorter values, for example a smaller thumbnail",
        )
    return Relabelling(checkpoint, head, start)


def write_relabelled(
    plan: Relabelling,
    target: str,
    *,
    replace: bool,
    verify: bool,
    progress: Callable[[int], None],
) -> None:
    """Write the file under a name, whole or not at all; with `replace` in place of what is there.

    The source is closed. What replaces its source keeps its permissions. CorruptCheckpointError where the
    source has changed, or has been replaced itself, since it was opened; DestinationExistsError where it
    is a link: what that names is another's too.
    """
    ours = plan.checkpoint.is_source(target)
    if ours and os.path.islink(target):
        why = f"it is a link to {os.path.realpath(target)}"
        raise DestinationExistsError(
            target, why=why, hint="-o writes another file, or give that one"
        )
    check_space(os.path.dirname(os.path.abspath(target)), plan.size)
    with staged_file(target, plan.size) as (descriptor, staged):
        write_at(descriptor, plan.head, 0)
        extent = Range(0, plan.start, plan.file.size - plan.start)
        written = Written(plan.head, (Copied(extent, len(plan.head)),), ())
        write_copies(descriptor, written.copied, plan.checkpoint, progress)
        if ours and hasattr(os, "fchmod"):
            os.fchmod(descriptor, stat.S_IMODE(os.fstat(plan.file.descriptor).st_mode))
        with Flushing(descriptor):
            check_written(descriptor, target, written, plan.checkpoint, data=verify)
            _check_readable(staged.path)
        if ours and not plan.checkpoint.is_source(target):
            raise CorruptCheckpointError(target, "was replaced meanwhile", hint="run it again")
        plan.checkpoint.close()  # Windows replaces nothing that is open
        staged.publish(replace=replace)


def _check_readable(path: str) -> None:
    """Raise CorruptCheckpointError where a header breaks a rule of the format."""
    there = SourceFile(path)
    try:
        read_header(there, 0)
    finally:
        there.close()
