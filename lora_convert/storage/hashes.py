"""Hashes of large files, computed once for each state of a file and remembered in a small document.

The document is a cache: where it is broken or gone it counts as empty, and of two runs that write it at
once one loses what it learnt.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import (
    CheckpointNotFoundError,
    CorruptCheckpointError,
    OutputError,
    VerificationError,
)
from lora_convert.storage.atomic import staged_file, sync
from lora_convert.storage.documents import read_document
from lora_convert.storage.files import BLOCK, SourceFile
from lora_convert.storage.positions import read_at, write_at

if TYPE_CHECKING:
    from collections.abc import Mapping

_HASH = re.compile(r"[0-9a-f]{64}")
_MOST = 4096
"""Hashes that are remembered; the oldest go first."""
_SETTLED = 2_000_000_000
"""Nanoseconds after which a change has another time on every file system; FAT counts in two seconds."""


class Known(NamedTuple):
    """What was learnt: hashes of files by their state, and of written content by its recipe."""

    files: Mapping[str, str]
    recipes: Mapping[str, str]


def is_hash(text: object) -> bool:
    """Whether a text is a SHA-256 as this package writes it."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


def hash_of(file: SourceFile) -> str:
    """The SHA-256 of all that is in a file, or CorruptCheckpointError where it changes meanwhile."""
    import hashlib

    digest = hashlib.sha256()
    for block in file.blocks(0, file.size):
        digest.update(block)
    file.check_unchanged()
    return digest.hexdigest()


def hash_written(descriptor: int, source: SourceFile | None = None) -> str:
    """The SHA-256 of what a descriptor holds; VerificationError where `source` holds something else."""
    import hashlib

    digest, at = hashlib.sha256(), 0
    while block := read_at(descriptor, BLOCK, at):
        if source and source.read(at, min(len(block), source.size - at)) != block:
            raise _differs(source, at)
        digest.update(block)
        at += len(block)
    if source and at != source.size:
        raise _differs(source, at)
    return digest.hexdigest()


def _differs(source: SourceFile, at: int) -> VerificationError:
    source.check_unchanged()
    return VerificationError(
        f"{source.path}: its copy reads back differently near byte {at:,}",
        why="nothing was published",
        hint="check the disk",
    )


def state_of(file: SourceFile) -> str:
    """What changes when a file's content does; empty where it was changed too lately to tell.

    Who writes into a file cannot set the last of these times.
    """
    status = os.fstat(file.descriptor)
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _SETTLED:
        return ""
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return ":".join(map(str, numbers))


def hash_once(document: str, path: str) -> str:
    """The SHA-256 of a file, read only where `document` does not know it in this state."""
    file = SourceFile(os.path.realpath(path))
    try:
        state = state_of(file)
        found = known(document).files.get(state)
        if found is None:
            found = hash_of(file)
            learn(document, files={state: found})
        return found
    finally:
        file.close()


def known(document: str) -> Known:
    """What a document says, as far as it is sound."""
    try:
        read = read_document(document)
    except (CheckpointNotFoundError, CorruptCheckpointError):
        read = None
    parts = [read.get(name) if isinstance(read, dict) else None for name in Known._fields]
    return Known(*(_sound(part) for part in parts))


def _sound(part: object) -> dict[str, str]:
    found = part if isinstance(part, dict) else {}
    return {key: value for key, value in found.items() if key and is_hash(value)}


def learn(
    document: str,
    *,
    files: Mapping[str, str] | None = None,
    recipes: Mapping[str, str] | None = None,
) -> None:
    """Add to a document. What cannot be written, or has an empty name, is not remembered."""
    before = known(document)
    parts = [{**old, **_sound(new)} for old, new in zip(before, (files, recipes), strict=True)]
    newest = [{key: part[key] for key in list(part)[-_MOST:]} for part in parts]
    if newest == list(before):
        return
    data = json.dumps(Known(*newest)._asdict(), indent=1).encode()
    with contextlib.suppress(OutputError), staged_file(document) as (descriptor, staged):
        write_at(descriptor, data, 0)
        sync(descriptor)
        staged.publish(replace=True)
