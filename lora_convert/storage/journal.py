"""What became of each item of a batch, in a file that only grows: a line of JSON for each change.

Each line holds a number and a sum over itself and is on the disk before the next is begun, so a crash
can break the last line only. Such a line is ignored, and cut off by the next writer: what it told of is
done again. Anything else that is broken was not done by a crash, and is an error.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.storage.atomic import cannot_write, sync, sync_folder
from lora_convert.storage.files import SourceFile
from lora_convert.storage.positions import read_at, write_at

State: TypeAlias = Literal["planned", "done", "failed"]
MAX_BYTES = 64 << 20
"""Of a journal: some hundred thousand lines."""
_SUM = 16
"""Hexadecimal digits of a line's sum."""
_START = b'{"sum":"'
_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


class Entry(NamedTuple):
    """The state of an item.

    ``planned`` and no more means that a run ended in the middle. `fingerprint` stands for all that the
    result depends on; `facts` are told to people only.
    """

    item: str
    state: State
    fingerprint: str
    facts: Mapping[str, Any] = {}


class _Read(NamedTuple):
    entries: tuple[Entry, ...]
    size: int
    """Bytes of whole lines: all but a torn last one."""


def fingerprint(parts: Mapping[str, Any]) -> str:
    """A short name for inputs and options; equal values, in any order, have the same."""
    import hashlib

    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read(path: str) -> dict[str, Entry]:
    """The last state of each item, nothing where there is no journal; also while another run writes.

    CorruptCheckpointError where more is broken than the last line.
    """
    try:
        file = SourceFile(path)
    except CheckpointNotFoundError:
        return {}
    try:
        return _last(_parse(path, file.read(0, _limited(path, file.size))))
    finally:
        file.close()


class Journal:
    """A journal that is written; `last` is the last state of each item, `cut` what a crash had torn."""

    def __init__(self, path: str, descriptor: int, found: _Read, cut: int) -> None:
        self.path = path
        self.last = _last(found)
        self.cut = cut
        self._descriptor = descriptor
        self._number = len(found.entries)
        self._size = found.size

    def add(self, entry: Entry) -> None:
        """Write a change; it is on the disk afterwards. OutputError where it is not."""
        line = _line(self._number, entry)
        try:
            write_at(self._descriptor, line, self._size)
            sync(self._descriptor)
        except BaseException as error:
            with contextlib.suppress(OSError):  # what is left is torn, and written over by the next
                os.ftruncate(self._descriptor, self._size)
            if isinstance(error, OSError):
                raise cannot_write(error, self.path, 0) from error
            raise
        self._number += 1
        self._size += len(line)
        self.last[entry.item] = entry


@contextlib.contextmanager
def opened(path: str) -> Iterator[Journal]:
    """A journal to be written, made where there is none. Who writes holds the lock of its folder.

    CorruptCheckpointError as of `read`, OutputError where the disk fails.
    """
    try:
        descriptor = os.open(path, _FLAGS, 0o666)
    except OSError as error:
        raise cannot_write(error, path, 0) from error
    try:
        yield _journal(path, descriptor)
    finally:
        os.close(descriptor)


def _journal(path: str, descriptor: int) -> Journal:
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise CorruptCheckpointError(path, "is not a regular file")
        found = _parse(path, read_at(descriptor, _limited(path, status.st_size), 0))
        cut = status.st_size - found.size
        if cut:
            os.ftruncate(descriptor, found.size)
            sync(descriptor)
        sync_folder(os.path.dirname(path))
    except OSError as error:
        raise cannot_write(error, path, 0) from error
    return Journal(path, descriptor, found, cut)


def is_done(last: Mapping[str, Entry], item: str, wanted: str) -> bool:
    """Whether an item was done, from all that `wanted` is the fingerprint of."""
    entry = last.get(item)
    return entry is not None and (entry.state, entry.fingerprint) == ("done", wanted)


def _limited(path: str, size: int) -> int:
    if size > MAX_BYTES:
        raise _broken(path, f"has {size:,} bytes; the limit is {MAX_BYTES:,}")
    return size


def _last(found: _Read) -> dict[str, Entry]:
    return {entry.item: entry for entry in found.entries}


def _line(number: int, entry: Entry) -> bytes:
    body = json.dumps({"number": number, **entry._asdict()}, separators=(",", ":")).encode()
    return _START + _sum(body) + b'",' + body[1:] + b"\n"


def _sum(body: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(body).hexdigest()[:_SUM].encode()


def _parse(path: str, data: bytes) -> _Read:
    entries: list[Entry] = []
    size = 0
    *lines, rest = data.split(b"\n")
    for number, line in enumerate(lines):
        body = _body(line)
        if not body:
            if number + 1 < len(lines) or rest:
                raise _broken(path, f"line {number + 1} is broken")
            break
        entries.append(_entry(path, number, body))
        size += len(line) + 1
    return _Read(tuple(entries), size)


def _body(line: bytes) -> bytes:
    """What the sum of a line is over; nothing where it is not right."""
    end = len(_START) + _SUM
    body = b"{" + line[end + 2 :]
    right = _START + _sum(body) + b'",'
    return body if line.startswith(right) else b""


def _entry(path: str, number: int, body: bytes) -> Entry:
    try:
        fields = json.loads(body)
        found = fields.pop("number")
        entry = Entry(**fields)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        found, entry = -1, Entry("", "failed", "")
    if found != number:
        raise _broken(path, f"line {number + 1} is not the one that was written there")
    texts = (entry.item, entry.fingerprint, entry.state)
    if not all(isinstance(text, str) for text in texts) or entry.state not in get_args(State):
        raise _broken(path, f"line {number + 1} says what this version does not know")
    return entry


def _broken(path: str, problem: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(
        path,
        problem,
        why="a crash breaks the last line only; this was changed, or the disk is failing",
        hint="move it away, then run the command again",
    )
