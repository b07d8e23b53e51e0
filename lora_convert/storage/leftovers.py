"""Temporary names, and the removal of what runs that died left under them.

A live run holds a lock on its temporary; the system takes it away when the process ends. Where there
are no locks (Windows, some network disks) a temporary counts as dead after a day.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time

TEMPORARY = ".lora-convert-tmp"
"""Ending of what is being written."""

_TOKEN_BYTES = 6
_NAME = re.compile(rf"\..*\.[0-9a-f]{{{2 * _TOKEN_BYTES}}}{re.escape(TEMPORARY)}", re.DOTALL)
_KEPT_BYTES = 100
"""Of the target's name, so that the whole stays below the 255 that file systems allow."""
_DEAD_AFTER = 86_400.0
"""Seconds without a change, where there are no locks."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = _NO_FOLLOW | getattr(os, "O_DIRECTORY", 0)


def temporary_path(target: str) -> str:
    """A new hidden name in the folder of `target`."""
    folder, name = os.path.split(target)
    kept = name.encode("utf-8", "ignore")[:_KEPT_BYTES].decode("utf-8", "ignore")
    return os.path.join(folder, f".{kept}.{os.urandom(_TOKEN_BYTES).hex()}{TEMPORARY}")


def is_temporary(name: str) -> bool:
    """Whether a file's or folder's name is one of `temporary_path`."""
    return _NAME.fullmatch(name) is not None


def claim(path: str, descriptor: int) -> bool:
    """Mark a new temporary as a live run's; False where a cleaning run was faster and took it."""
    return _lock(descriptor) is not False and os.path.lexists(path)


def open_folder(path: str) -> int:
    """A descriptor of a folder, to claim or sync it; -1 where the system has none (Windows)."""
    return _opened(path, _FLAGS)


def _opened(path: str, flags: int) -> int:
    return -1 if os.name == "nt" else os.open(path, flags)


def remove_leftovers(folder: str) -> None:
    """Remove temporaries of dead runs from a folder; those of live runs and all else stay."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if is_temporary(entry.name)]
    except OSError:
        return
    for entry in found:
        with contextlib.suppress(
            OSError
        ):  # another's, or already gone: the output does not need it away
            _remove_if_dead(entry)


def _remove_if_dead(entry: os.DirEntry[str]) -> None:
    is_folder = entry.is_dir(follow_symlinks=False)
    if not is_folder and not entry.is_file(follow_symlinks=False):
        return
    descriptor = _opened(entry.path, _FLAGS | _NO_FOLLOW)
    try:
        locked = _lock(descriptor)
        if locked is None:
            locked = time.time() - entry.stat(follow_symlinks=False).st_mtime > _DEAD_AFTER
        if locked:
            remove(entry.path)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def remove(path: str) -> None:
    """Remove a temporary file, or a temporary folder with all in it; OSError where something stays.

    Links in it are removed, not followed; what is mounted in it stays, and the folders it is in.
    """
    try:
        os.unlink(path)
    except (
        IsADirectoryError,
        PermissionError,
    ):  # which of them for a folder, is the system's choice
        if os.name == "nt":
            import shutil

            shutil.rmtree(path)
            return
        _remove_folder(path)


def _remove_folder(path: str) -> None:
    descriptor = os.open(path, _FLAGS | _FOLDER)
    try:
        _empty(descriptor, os.fstat(descriptor).st_dev)
    except RecursionError as error:
        raise OSError(errno.ENAMETOOLONG, "folders are too deep", path) from error
    finally:
        os.close(descriptor)
    os.rmdir(path)


def _empty(folder: int, device: int) -> None:
    """Remove all in an open folder that is on this device."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
            continue
        descriptor = os.open(name, _FLAGS | _FOLDER, dir_fd=folder)
        try:
            if os.fstat(descriptor).st_dev != device:
                raise OSError(errno.EBUSY, "something is mounted there", name)
            _empty(descriptor, device)
        finally:
            os.close(descriptor)
        os.rmdir(name, dir_fd=folder)


def _lock(descriptor: int) -> bool | None:
    """True where the lock is ours now, False where it is another's, None where there are no locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError, ValueError):
        return None
    return True
