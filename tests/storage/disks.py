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


@cache
def cannot_mount() -> str:
    """Why no disk can be made here; empty where one can."""
    if sys.platform != "linux":
        return "disks are made on Linux only"
    if os.geteuid() != 0:
        return "only root may mount a disk"
    missing = [name for name in ("mkfs.ext4", "mount", "umount") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not found"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(image(Path(folder) / "image", 4 * MIB)):
                return ""
        except subprocess.CalledProcessError as error:
            return f"no disk can be mounted: {error.stderr.strip()}"


def image(path: Path, size: int) -> Path:
    """An empty ext4 file system in a file."""
    with path.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(path))
    return path


@contextmanager
def mounted(disk: Path) -> Iterator[Path]:
    """An image as a folder; its journal is replayed where it was cut off."""
    with _mount("-t", "ext4", "-o", "loop", str(disk)) as place:
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
