"""Reading and writing a descriptor by position, also where the system has no pread.

Without pread (Windows) the descriptor's own position moves, so one thread at a time may use it.
"""

from __future__ import annotations

import os


def read_at(descriptor: int, size: int, place: int) -> bytes:
    """The `size` bytes from `place`, or fewer where the file ends before; OSError where reading fails."""
    data = _read_once(descriptor, size, place)
    while 0 < len(data) < size:  # one call may give less, for example above 2 GiB
        more = _read_once(descriptor, size - len(data), place + len(data))
        if not more:
            break
        data += more
    return data


def write_at(descriptor: int, data: bytes | memoryview, place: int) -> None:
    """Write all of `data` from `place`; OSError where writing fails."""
    view = memoryview(data)
    while view:
        done = _write_once(descriptor, view, place)
        view = view[done:]
        place += done


def _read_once(descriptor: int, size: int, place: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, place)
    os.lseek(descriptor, place, os.SEEK_SET)
    return os.read(descriptor, size)


def _write_once(descriptor: int, view: memoryview, place: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, view, place)
    os.lseek(descriptor, place, os.SEEK_SET)
    return os.write(descriptor, view)
