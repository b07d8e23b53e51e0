"""What lies in a folder beside what was put there, to be asked before the folder is replaced."""

from __future__ import annotations

import os
from collections.abc import Collection


def strangers(folder: str, own: Collection[str], most: int = 3) -> tuple[str, ...]:
    """Names below a folder that are not among its `own`, with ``/`` between folders; the first few.

    Links are names like others and are not followed. What cannot be looked into is a stranger too.
    """
    found: list[str] = []

    def closed(error: OSError) -> None:
        found.append(_name(folder, error.filename))

    for place, folders, files in os.walk(folder, onerror=closed):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        names = (_name(folder, os.path.join(place, name)) for name in (*files, *links))
        found += [name for name in names if name not in own]
        if len(found) >= most:
            break
    return tuple(sorted(found)[:most])


def _name(folder: str, path: str) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")
