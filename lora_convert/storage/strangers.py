"""What lies in a folder beside what was put there: replacing the folder would take it away."""

from __future__ import annotations

import os
from collections.abc import Collection

from lora_convert.errors import DestinationExistsError

_DROPPED = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What file managers leave in folders they show; on disks of others macOS adds ``._NAME`` to each file."""


def strangers(folder: str, own: Collection[str], most: int = 3) -> tuple[str, ...]:
    """Names below a folder that are not among its `own`, with ``/`` between folders; the first few.

    Links are names like others and are not followed. What cannot be looked into is a stranger too.
    """
    found: list[str] = []
    waiting = [""]
    while waiting and len(found) < most:
        inside = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, inside)) as entries:
                for entry in entries:
                    name = f"{inside}/{entry.name}" if inside else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(name)
                    elif name not in own and not _is_dropped(entry.name):
                        found.append(name)
        except OSError:
            found.append(inside or ".")
    return tuple(sorted(found)[:most])


def _is_dropped(name: str) -> bool:
    return name in _DROPPED or name.startswith("._")


def check_strangers(old: str, new: str, own: Collection[str]) -> None:
    """Raise DestinationExistsError where `old` has what is neither its `own` nor in `new` again."""
    names = {
        os.path.relpath(os.path.join(place, name), new).replace(os.sep, "/")
        for place, folders, files in os.walk(new)
        for name in (*folders, *files)
    }
    found = strangers(old, names.union(own))
    if found:
        raise DestinationExistsError(
            old,
            why=f"replacing it would remove what else is in it, for example {found[0]!r}",
            hint="choose another with -o, or move that away first",
        )
