"""All that can be seen of files from outside, to be compared with later."""

from __future__ import annotations

import hashlib
from pathlib import Path


def state(folder: Path) -> dict[str, tuple[str, int, int, int]]:
    """Digest, time, inode and mode of all files in a folder, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = (digest, status.st_mtime_ns, status.st_ino, status.st_mode)
    return found
