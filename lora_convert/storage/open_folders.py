"""Folders opened one inside another, so that no link that is put in the way is ever followed.

Where the system has no descriptors of folders (Windows), each is looked at before it is used instead.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

from lora_convert.errors import CheckpointNotFoundError, NotMovedError
from lora_convert.storage import renaming
from lora_convert.storage.atomic import NO_FOLDER_SYNC

_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_FOLDER = {errno.ENOTDIR, errno.ELOOP, errno.EMLINK}
"""What systems answer where a folder is to be opened and a link, or a file, is there."""


_ELSEWHERE = "is on another disk: something is mounted there"


class OpenFolder:
    """A folder that is held open: what is done in it is done in this one, whatever gets its name."""

    def __init__(self, path: str, descriptor: int, device: int) -> None:
        self.path = path
        """For messages, and for systems without descriptors of folders."""
        self.device = device
        self.descriptor = descriptor

    def __enter__(self) -> OpenFolder:
        return self

    def __exit__(self, *what: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its descriptor."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def inner(self, name: str) -> OpenFolder:
        """The folder of that name in it; NotMovedError where it is a link, no folder, or another disk's."""
        path, status = os.path.join(self.path, name), self.check(name)
        if not stat.S_ISDIR(status.st_mode):
            raise NotMovedError(path, "is no folder")
        if self.descriptor < 0:
            return OpenFolder(path, -1, status.st_dev)
        try:
            descriptor = os.open(name, _FLAGS | _NO_FOLLOW, dir_fd=self.descriptor)
        except OSError as error:
            problem = "is no folder" if error.errno in _NO_FOLDER else f"{error.strerror}"
            raise NotMovedError(path, problem) from error
        found = OpenFolder(path, descriptor, os.fstat(descriptor).st_dev)
        if found.device != self.device:  # mounted since it was looked at
            found.close()
            raise NotMovedError(path, _ELSEWHERE)
        return found

    def made(self, name: str) -> OpenFolder:
        """The same; made where there is nothing of that name, and its name brought to the disk."""
        if self.status(name) is None:
            os.mkdir(self._named(name), dir_fd=self._at)
            self.sync()
        return self.inner(name)

    def status(self, name: str) -> os.stat_result | None:
        """What lies under a name, a link as itself; None where nothing does."""
        try:
            return os.stat(self._named(name), dir_fd=self._at, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def check(self, name: str) -> os.stat_result:
        """What lies under a name; NotMovedError where it is no file and no folder of this disk."""
        path, status = os.path.join(self.path, name), self.status(name)
        problem = _problem(status, self.device)
        if problem or status is None:
            raise NotMovedError(path, problem)
        return status

    def names(self) -> list[str]:
        """What lies in it, in order."""
        return sorted(os.listdir(self.path if self.descriptor < 0 else self.descriptor))

    def move(self, name: str, into: OpenFolder, target: str) -> None:
        """Move what has a name here to another folder; FileExistsError where that name is taken there."""
        if self.descriptor < 0:
            renaming.rename(self._named(name), into._named(target), replace=False)
        else:
            renaming.move(name, self.descriptor, target, into.descriptor)

    def unlink(self, name: str) -> None:
        """Remove a file or a link."""
        os.unlink(self._named(name), dir_fd=self._at)

    def remove_if_empty(self, name: str) -> bool:
        """Remove a folder of that name if nothing is in it; whether it was."""
        try:
            os.rmdir(self._named(name), dir_fd=self._at)
        except OSError:
            return False
        return True

    def sync(self) -> None:
        """Bring its names to the disk; OSError where the disk fails."""
        try:
            if self.descriptor >= 0:
                os.fsync(self.descriptor)
        except OSError as error:
            if error.errno not in NO_FOLDER_SYNC:
                raise

    @property
    def _at(self) -> int | None:
        return None if self.descriptor < 0 else self.descriptor

    def _named(self, name: str) -> str:
        return os.path.join(self.path, name) if self.descriptor < 0 else name


def _problem(status: os.stat_result | None, device: int) -> str:
    """Why something is not used, in words; empty where nothing is wrong with it."""
    if status is None:
        return "is gone"
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return "is neither a file nor a folder"
    return "" if status.st_dev == device else _ELSEWHERE


def opened_folder(path: str) -> OpenFolder:
    """A folder to begin with: links on the way to it, and itself, are followed.

    CheckpointNotFoundError where it cannot be opened.
    """
    try:
        if os.name == "nt":
            return OpenFolder(path, -1, os.stat(path).st_dev)
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise CheckpointNotFoundError(
            path, f"{path}: cannot be opened: {error.strerror}"
        ) from error
    return OpenFolder(path, descriptor, os.fstat(descriptor).st_dev)


@contextlib.contextmanager
def descended(
    root: OpenFolder, parts: Sequence[str], *, make: bool = False
) -> Iterator[OpenFolder]:
    """The folder that lies inside `root` by these names; with `make`, those that are not there are made.

    NotMovedError where one of them is a link or no folder, or is another disk's.
    """
    with contextlib.ExitStack() as stack:
        folder = root
        for part in parts:
            folder = stack.enter_context(folder.made(part) if make else folder.inner(part))
        yield folder
