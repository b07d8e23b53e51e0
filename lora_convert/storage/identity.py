"""What a file or folder is at one moment, so that a later moment can tell whether it still is that."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from lora_convert.errors import NotMovedError
from lora_convert.storage.open_folders import OpenFolder, opened_folder


class State(NamedTuple):
    """What a write to a file, or its replacement, changes; of a folder, that of all that is in it.

    Hashes nothing: who writes the same number of bytes in place and sets the time back is not seen.
    """

    device: int
    inode: int
    kind: int
    """The kind of file, as `stat.S_IFMT` gives it."""
    size: int
    mtime_ns: int
    """These two are 0 of a folder: it has those of its files."""
    inner: tuple[tuple[str, State], ...] = ()

    @property
    def bytes(self) -> int:
        """Of the file, or of all files in the folder; what is hard-linked counts each time."""
        return self.size + sum(state.bytes for _, state in self.inner)


def state_of(path: str) -> State:
    """The state of a file or folder; links on the way to its folder are followed, those in it are not.

    NotMovedError where it is a link itself, is gone, or is, or holds, what lies on another disk.
    """
    folder, name = os.path.split(os.path.abspath(path))
    with opened_folder(folder) as opened:
        return state_in(opened, name)


def state_in(folder: OpenFolder, name: str) -> State:
    """The same of what has a name in an open folder."""
    try:
        return _state(folder, name)
    except (OSError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "its folders are too deep"
        path = os.path.join(folder.path, name)
        raise NotMovedError(path, f"cannot be looked into: {why}") from error


def _state(folder: OpenFolder, name: str) -> State:
    status = folder.check(name)
    kind = stat.S_IFMT(status.st_mode)
    if not stat.S_ISDIR(kind):
        return _of_file(status)
    with folder.inner(name) as opened:
        inner = []
        for one in opened.names():
            found = opened.status(one)
            if found and stat.S_ISDIR(found.st_mode):
                inner.append((one, _state(opened, one)))
            elif found:
                inner.append((one, _of_file(found)))
    return State(status.st_dev, status.st_ino, kind, 0, 0, tuple(inner))


def _of_file(status: os.stat_result) -> State:
    kind = stat.S_IFMT(status.st_mode)
    return State(status.st_dev, status.st_ino, kind, status.st_size, status.st_mtime_ns)
