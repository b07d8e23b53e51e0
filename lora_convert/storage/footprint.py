"""What files take on the disk, where some have several names."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator


def freed_by(paths: Iterable[str]) -> int:
    """Bytes that the removal of files and folders frees: those whose every name is among them, once.

    Links are not followed; what is cloned (reflinks) counts whole, as no disk tells what is shared.
    """
    names: Counter[tuple[int, int]] = Counter()
    found: dict[tuple[int, int], os.stat_result] = {}
    for status in _statuses(paths):
        key = (status.st_dev, status.st_ino)
        names[key] += 1
        found[key] = status
    return sum(status.st_size for key, status in found.items() if names[key] >= status.st_nlink)


def _statuses(paths: Iterable[str]) -> Iterator[os.stat_result]:
    for path in paths:
        for file in _files(path):
            with contextlib.suppress(OSError):  # gone by now
                status = os.lstat(file)
                if stat.S_ISREG(status.st_mode):
                    yield status


def _files(path: str) -> Iterator[str]:
    yield path
    if not os.path.islink(path):
        for folder, _, names in os.walk(path):
            yield from (os.path.join(folder, name) for name in names)
