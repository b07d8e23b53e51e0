"""Disks of their own for tests: small ones, and ones whose power can be cut. Linux and root only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

MIB = 1 << 20


_MAKERS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
    "vfat": ("mkfs.vfat",),
}
_SMALLEST = {"ext4": 4 * MIB, "btrfs": 128 * MIB, "vfat": 4 * MIB}


@cache
def cannot_mount(kind: str = "ext4") -> str:
    """Why no disk of a kind can be made here; empty where one can."""
    if sys.platform != "linux":
        return "disks are made on Linux only"
    if os.geteuid() != 0:
        return "only root may mount a disk"
    missing = [name for name in (_MAKERS[kind][0], "mount", "umount") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not found"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with disk_of(kind, Path(folder)):
                return ""
        except subprocess.CalledProcessError as error:
            return f"no {kind} can be mounted: {' '.join(error.stderr.split())}"


def image(path: Path, size: int, kind: str = "ext4") -> Path:
    """An empty file system in a file."""
    with path.open("wb") as file:
        file.truncate(size)
    _run(*_MAKERS[kind], str(path))
    return path


@contextmanager
def disk_of(kind: str, folder: Path) -> Iterator[Path]:
    """A new small disk of a kind; its image is made in `folder`."""
    with mounted(image(folder / f"{kind}.image", _SMALLEST[kind], kind), kind) as place:
        yield place


@contextmanager
def mounted(disk: Path, kind: str = "ext4") -> Iterator[Path]:
    """An image as a folder; its journal is replayed where it was cut off."""
    with _mount("-t", kind, "-o", "loop", str(disk)) as place:
        yield place


@contextmanager
def memory_disk(size: int) -> Iterator[Path]:
    """A tmpfs of `size` bytes."""
    with _mount("-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs") as place:
        yield place


@contextmanager
def _mount(*how: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        _run("mount", *how, folder)
        try:
            yield Path(folder)
        finally:
            _run("umount", "--lazy", folder)


def sync_all(place: Path) -> None:
    """Bring all of a disk's files to it."""
    _run("sync", "--file-system", str(place))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
