"""Outputs that appear whole or not at all.

A file is written under a temporary name in its own folder, synced, and then given its name by an
operation that does not replace (unless asked to). Left-overs of dead runs are removed by the next.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

from lora_convert.errors import DestinationExistsError, NotEnoughSpaceError, OutputError
from lora_convert.storage.folders import TEMPORARY


class Staged:
    """A temporary file or folder on its way to a name."""

    def __init__(self, path: str, target: str) -> None:
        self.path = path
        self.target = target

    def publish(self, *, replace: bool) -> None:
        """Give the file its name; DestinationExistsError where that is taken and not to be replaced."""
        try:
            _rename(self.path, self.target, replace=replace)
        except FileExistsError as error:
            raise DestinationExistsError(self.target, why="it appeared while this command ran") from error
        except OSError as error:
            raise OutputError(f"{self.target}: cannot be written: {error.strerror}") from error
        sync_folder(os.path.dirname(self.target))


@contextlib.contextmanager
def staged_file(target: str) -> Iterator[tuple[int, Staged]]:
    """A descriptor, open for reading and writing, of a file that is to become `target`."""
    folder = os.path.dirname(target) or "."
    remove_leftovers(folder)
    path = _temporary(target)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags, 0o666)  # the kernel applies the umask
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to: {error.strerror}") from error
    try:
        _lock(descriptor)
        yield descriptor, Staged(path, target)
    except OSError as error:
        if isinstance(error, OutputError | NotEnoughSpaceError):
            raise
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}",
                          why="nothing was left under that name") from error
    finally:
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@contextlib.contextmanager
def staged_folder(target: str) -> Iterator[Staged]:
    """A temporary folder that is to become `target`."""
    parent = os.path.dirname(target) or "."
    remove_leftovers(parent)
    path = _temporary(target)
    try:
        os.mkdir(path)
    except OSError as error:
        raise OutputError(f"{parent}: cannot be written to: {error.strerror}") from error
    try:
        yield Staged(path, target)
    finally:
        if os.path.isdir(path):
            import shutil

            shutil.rmtree(path, ignore_errors=True)


def _temporary(target: str) -> str:
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}{TEMPORARY}")


def _rename(path: str, target: str, *, replace: bool) -> None:
    if replace and not os.path.isdir(path):
        os.replace(path, target)
        return
    if os.path.isdir(path):
        if os.path.lexists(target):
            raise FileExistsError(target)
        os.rename(path, target)
        return
    try:
        os.link(path, target)  # fails where the name is taken, unlike rename on POSIX
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.rename(path, target)


def sync(descriptor: int) -> None:
    """Bring a file's data to the disk."""
    os.fsync(descriptor)


def sync_folder(folder: str) -> None:
    """Bring a folder's names to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise OutputError(f"{folder}: written, but the disk did not confirm it: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Mark a temporary file as being written; the system takes the mark away when its process ends."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_leftovers(folder: str) -> None:
    """Remove temporary files of runs that died; those of live runs are locked and stay."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if name.endswith(TEMPORARY) and name.startswith(".") and os.path.isfile(path):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)
                except OSError:
                    continue
                finally:
                    os.close(descriptor)


def check_space(folder: str, needed: int) -> None:
    """Raise NotEnoughSpaceError where the disk of `folder` has fewer than `needed` bytes free."""
    if hasattr(os, "statvfs"):
        status = os.statvfs(folder or ".")
        free = status.f_bavail * status.f_frsize
    else:
        import shutil

        free = shutil.disk_usage(folder or ".").free
    if free < needed:
        raise NotEnoughSpaceError(folder, needed, free)
