"""What pipelines of a run shared, and none of them uses any more."""

from __future__ import annotations

import os
import stat
from collections import Counter
from typing import TYPE_CHECKING

from lora_convert.operations.sharing import PIPELINES, SHARED
from lora_convert.storage.hashes import is_hash
from lora_convert.storage.store import unused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lora_convert.operations.runs import Run
    from lora_convert.storage.store import Entry


def unused_entries(run: Run, going: Collection[str] = ()) -> tuple[Entry, ...]:
    """Entries of the store of a run's pipelines that none uses but those in folders that are `going`.

    One is used that has a second hard link, wherever that is, also in the trash; or that a symbolic
    link anywhere in the run names. Copies and clones need no entry.
    """
    store = os.path.join(run.path, PIPELINES, SHARED)
    freed = Counter(_inodes(going))
    linked = set(_named_by_links(run.path, {os.path.realpath(path) for path in going}))
    in_use = set(linked)
    for entry in unused(store, linked):
        status = os.lstat(entry.path)
        if status.st_nlink - 1 > freed[status.st_dev, status.st_ino]:
            in_use.add(entry.digest)
    return unused(store, in_use)


def _inodes(paths: Collection[str]) -> Iterator[tuple[int, int]]:
    for path in paths:
        for folder, _, names in os.walk(path):
            for name in names:
                status = os.lstat(os.path.join(folder, name))
                if stat.S_ISREG(status.st_mode):
                    yield status.st_dev, status.st_ino


def _named_by_links(root: str, going: Collection[str]) -> Iterator[str]:
    """Hashes that symbolic links lead to, in a folder apart from what is going."""
    for folder, inner, names in os.walk(root):
        inner[:] = [
            name for name in inner if os.path.realpath(os.path.join(folder, name)) not in going
        ]
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) and is_hash(last := os.path.basename(os.readlink(path))):
                yield last
