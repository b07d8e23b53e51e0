"""What lies below a folder and what it takes on the disk, a folder at a time, as ``du`` counts it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

_BLOCK = 512
"""Bytes of ``st_blocks``, whatever a disk's own blocks are (POSIX, sys/stat.h)."""
_LONGEST = 1000
"""Bytes of a path that is opened at once: macOS refuses 1024, Linux 4096."""
_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_HAS_BLOCKS = hasattr(os.stat_result, "st_blocks")
_BY_DESCRIPTOR = os.scandir in os.supports_fd
ANOTHER_DISK = "another disk is mounted there"


def free_space(folder: str) -> int | None:
    """Bytes that may still be written to the disk of a folder; None where it does not tell."""
    try:
        if hasattr(os, "statvfs"):
            status = os.statvfs(folder)
            return status.f_bavail * status.f_frsize if status.f_blocks else None
        import shutil

        return shutil.disk_usage(folder).free
    except OSError:
        return None


class Folder(NamedTuple):
    """One folder, and what lies directly in it."""

    path: str
    status: os.stat_result
    files: list[tuple[str, os.stat_result]]
    """Name and state of all that is no folder; links are not followed."""
    folders: list[str]
    """Names, in order."""


def disk_of(status: os.stat_result) -> int:
    """Bytes that a file or folder takes on the disk: less than its size where it has holes."""
    return status.st_blocks * _BLOCK if _HAS_BLOCKS else status.st_size


def folders_below(path: str, passed_over: Callable[[str, str], object]) -> Iterator[Folder]:
    """A folder and all below it on its disk, each before its own; names are in order.

    What cannot be listed, or lies on another disk, is told to `passed_over` with the reason; what goes
    meanwhile is not there. Only `path` itself may be a link. OSError where it is no folder.
    """
    waiting = [(path, os.stat(path))]
    device = waiting[0][1].st_dev
    while waiting:
        place, status = waiting.pop()
        files: list[tuple[str, os.stat_result]] = []
        inner: list[tuple[str, os.stat_result]] = []
        try:
            _list(place, files, inner, follow=place is path)
        except FileNotFoundError:
            if place is path:
                raise
            continue
        except OSError as error:
            passed_over(place, error.strerror or str(error))
        inner.sort()
        before = prefix_of(place)
        for name, found in inner:
            if found.st_dev != device:
                passed_over(before + name, ANOTHER_DISK)
        inner = [pair for pair in inner if pair[1].st_dev == device]
        yield Folder(place, status, files, [name for name, _ in inner])
        waiting += [(before + name, found) for name, found in reversed(inner)]


def prefix_of(folder: str) -> str:
    """What stands before names in a folder, as people write it: without ``./``."""
    return "" if folder == os.curdir else os.path.join(folder, "")


def _list(
    path: str,
    files: list[tuple[str, os.stat_result]],
    folders: list[tuple[str, os.stat_result]],
    *,
    follow: bool,
) -> None:
    """Add all that lies in a folder. By a descriptor, names are short for the system to look up."""
    descriptor = _opened(path, follow=follow) if _BY_DESCRIPTOR else -1
    try:
        with os.scandir(path if descriptor < 0 else descriptor) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                    if descriptor < 0:  # what Windows lists has neither links nor inodes
                        status = os.lstat(entry.path)
                except FileNotFoundError:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.name, status))
                else:
                    files.append((entry.name, status))
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _opened(path: str, *, follow: bool) -> int:
    """A descriptor of a folder, however long its path is."""
    flags = _FLAGS if follow else _FLAGS | _NO_FOLLOW
    if len(os.fsencode(path)) < _LONGEST:
        return os.open(path, flags)
    above, name = os.path.split(path)
    parent = _opened_by_parts(above)
    try:
        return os.open(name, flags, dir_fd=parent)
    finally:
        os.close(parent)


def _opened_by_parts(path: str) -> int:
    descriptor = os.open(os.sep if os.path.isabs(path) else os.curdir, _FLAGS)
    for name in filter(None, path.split(os.sep)):
        outer = descriptor
        try:
            descriptor = os.open(name, _FLAGS, dir_fd=outer)
        finally:
            os.close(outer)
    return descriptor
