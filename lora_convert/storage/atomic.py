"""Outputs that appear whole or not at all.

A file is written under a temporary name in its own folder, synced, and then given its name by an
operation that does not replace (unless asked to). A folder replaces another by changing names with it, in
one step; the old one is then removed. Left-overs of dead runs are removed by the next.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Collection, Iterator
from typing import TypeAlias

from lora_convert.errors import (
    DestinationExistsError,
    LoraConvertError,
    NotEnoughSpaceError,
    OutputError,
)
from lora_convert.storage.disk_usage import free_space
from lora_convert.storage.leftovers import (
    claim,
    open_folder,
    remove,
    remove_leftovers,
    temporary_path,
)
from lora_convert.storage.renaming import can_exchange, exchange, rename
from lora_convert.storage.strangers import check_strangers

_FLAGS = (
    os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
Creator: TypeAlias = Callable[[str], int | None]
"""Makes a file or folder and gives its descriptor: -1 where there are none, None where it is gone again."""
NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What file systems answer that cannot sync a folder."""
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS} | NO_FOLDER_SYNC
"""What is answered for files that are another's to bring to the disk."""
_TRIES = 100
"""To make a temporary; one is enough unless another run cleans the folder in the same moment."""


class Staged:
    """A temporary file or folder on its way to a name."""

    def __init__(self, path: str, target: str, descriptor: int) -> None:
        self.path = path
        self.target = target
        self.descriptor = descriptor
        self._old = -1
        self._keep = False

    def publish(self, *, replace: bool, own: Collection[str] = ()) -> None:
        """Give it its name; DestinationExistsError where that is taken and not to be replaced.

        The same where a folder is to replace a folder and the disk has no call for that, or the old one
        has names that are neither in the new one nor among its `own` (``sub/name``). An OutputError
        that says "durability unknown" comes after the rename: the output is there and whole, but a
        power cut may still take it away, and bring back what it replaced.
        """
        if os.name == "nt":
            self.close()  # Windows renames nothing that is open
        folder = os.path.isdir(self.path)
        try:
            if folder:
                sync_folder(self.path)
            if not (folder and replace and self._exchanged(own)):
                rename(self.path, self.target, replace=replace)
        except FileExistsError as error:
            if isinstance(error, DestinationExistsError):
                raise
            raise DestinationExistsError(
                self.target, why="it appeared while this command ran"
            ) from error
        except OSError as error:
            raise cannot_write(error, self.target, 0) from error
        try:
            sync_folder(os.path.dirname(self.target))
        except OSError as error:
            self._keep = True
            raise unconfirmed(self.target, error) from error

    def _exchanged(self, own: Collection[str]) -> bool:
        """Change names with a folder that is there; False where nothing is.

        What was there is locked before, else another run could take it for a left-over and remove it
        while a power cut can still bring it back.
        """
        if not os.path.lexists(self.target):
            return False
        if not os.path.isdir(self.target):
            raise DestinationExistsError(
                self.target, why="it is not a folder", hint="choose another with -o"
            )
        try:
            if not os.path.islink(self.target):
                self._old = open_folder(self.target)
                claim(self.target, self._old)
                check_strangers(self.target, self.path, own)
            if not exchange(self.path, self.target):
                raise _not_replaceable(self.target)
        except FileNotFoundError:  # it has just been removed
            return False
        return True

    def close(self) -> None:
        """Let go of the descriptors, and with them of the locks."""
        for descriptor in (self.descriptor, self._old):
            if descriptor >= 0:
                with contextlib.suppress(OSError):  # what had to be on the disk was synced before
                    os.close(descriptor)
        self.descriptor = self._old = -1

    def discard(self) -> None:
        """Remove what has not been published, or was replaced; what cannot be, is left to the next run."""
        if os.name == "nt":
            self.close()  # Windows removes nothing that is open
        if not self._keep:
            with contextlib.suppress(OSError):
                remove(self.path)
        self.close()


@contextlib.contextmanager
def staged_file(target: str, size: int = 0) -> Iterator[tuple[int, Staged]]:
    """A descriptor, open for reading and writing, of a file that is to become `target`.

    `size` is what it will hold, in bytes, if known. Failures of the disk inside the block become
    NotEnoughSpaceError or OutputError; all other errors pass as they are. Nothing is left behind.
    """
    with _staged(target, size, _new_file) as staged:
        yield staged.descriptor, staged


@contextlib.contextmanager
def staged_folder(target: str, *, replace: bool = False) -> Iterator[Staged]:
    """A temporary folder that is to become `target`; errors as in `staged_file`.

    With `replace`, DestinationExistsError now where `publish` could not replace what is there.
    """
    with _staged(target, 0, _new_folder) as staged:
        if replace and os.path.lexists(target) and not can_exchange(staged.path):
            raise _not_replaceable(target)
        yield staged


def _not_replaceable(target: str) -> DestinationExistsError:
    return DestinationExistsError(
        target,
        why="this disk cannot exchange two folders in one step, and nothing is replaced in two",
        hint=f"remove {target} first, then run the command again",
    )


@contextlib.contextmanager
def _staged(target: str, size: int, create: Creator) -> Iterator[Staged]:
    remove_leftovers(os.path.dirname(target) or ".")
    staged: Staged | None = None
    try:
        _check_name(target)
        staged = _created(target, create)
        yield staged
    except OSError as error:
        if isinstance(error, LoraConvertError):
            raise
        raise cannot_write(error, target, max(size, _written(staged))) from error
    finally:
        if staged is not None:
            staged.discard()


def _check_name(target: str) -> None:
    """Raise OSError now where the name can never be given: too long, or in no folder."""
    with contextlib.suppress(FileNotFoundError):
        os.lstat(target)


def _created(target: str, create: Creator) -> Staged:
    for _ in range(_TRIES):
        path = temporary_path(target)
        descriptor = create(path)
        if descriptor is None:
            continue
        staged = Staged(path, target, descriptor)
        if descriptor < 0 or claim(path, descriptor):
            return staged
        staged.discard()  # taken for a left-over between its making and its locking
    raise OSError(errno.EBUSY, "other runs take every temporary away")


def _new_file(path: str) -> int:
    return os.open(path, _FLAGS, 0o666)  # the kernel applies the umask


def _new_folder(path: str) -> int | None:
    os.mkdir(path)
    try:
        return open_folder(path)
    except FileNotFoundError:
        return None


def _written(staged: Staged | None) -> int:
    """Bytes that are known to be needed: one more than the file had room for."""
    with contextlib.suppress(OSError):
        return os.path.getsize(staged.path) + 1 if staged else 0
    return 0


def cannot_write(error: OSError, target: str, needed: int) -> OutputError:
    """The error that says what a failure of the disk means for an output."""
    if error.errno == errno.ENOSPC:
        folder = os.path.dirname(target) or "."
        free = free_space(folder)
        if free is not None and free < needed:
            return NotEnoughSpaceError(folder, needed, free)
    hints = {
        errno.ENOSPC: "choose another disk with -o",
        errno.EDQUOT: "choose another disk with -o",
        errno.EFBIG: "choose a disk that holds larger files with -o",
    }
    return OutputError(
        f"{target}: cannot be written: {error.strerror or error}",
        why="nothing partial was left under that name",
        hint=hints.get(error.errno or 0, ""),
    )


def unconfirmed(target: str, error: OSError) -> OutputError:
    """The error that says that an output is there, but may not be on the disk."""
    return OutputError(
        f"{target}: published, durability unknown: the disk did not confirm it ({error.strerror})",
        why="it is whole, but may be gone after a power cut",
        hint="check the disk, then: sync",
    )


def settle(path: str) -> None:
    """Bring a file that is there already to the disk, with its name: who wrote it may not have."""
    try:
        if os.name != "nt":  # Windows syncs nothing that is open for reading
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                sync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(os.path.dirname(os.path.abspath(path)))
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise unconfirmed(path, error) from error


def sync(descriptor: int) -> None:
    """Bring a file's data to the disk; OSError where the disk fails."""
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # not every file system there has it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync alone stops at the drive's cache
            return
    os.fsync(descriptor)


def sync_folder(folder: str) -> None:
    """Bring a folder's names to the disk, where the system can; OSError where the disk fails."""
    descriptor = open_folder(folder or ".")
    if descriptor < 0:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def check_space(folder: str, needed: int) -> None:
    """Raise NotEnoughSpaceError where the disk of `folder` has fewer than `needed` bytes free."""
    free = free_space(folder or ".")
    if free is not None and free < needed:
        raise NotEnoughSpaceError(folder, needed, free)
