"""Where something is mounted: a bind mount of the same disk has the device number of its surroundings."""

from __future__ import annotations

import os
import re

_TABLE = "/proc/self/mountinfo"
"""proc(5): the fifth field is the place, with spaces and the like as three octal digits."""


def mounted_in(path: str) -> str:
    """A place at or below a path that something is mounted at; empty where there is none.

    Only Linux tells; elsewhere it is empty too.
    """
    try:
        with open(_TABLE, "rb") as table:
            places = [line.split(b" ")[4] for line in table]
    except OSError:
        return ""
    try:
        real = os.fsencode(os.path.realpath(path))
    except OSError:  # a link came or went meanwhile; whoever asks looks at its state again
        real = os.fsencode(os.path.abspath(path))
    inside = os.path.join(real, b"")
    for place in map(_unescaped, places):
        if place == real or place.startswith(inside):
            return os.fsdecode(place)
    return ""


def _unescaped(place: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), place)
