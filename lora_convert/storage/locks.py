"""One writer at a time in a folder, by a lock that the system takes away when its holder dies.

The lock is advisory: it keeps out only who asks for it. Process and host stand in its file for messages
alone. Where the disk or the system has no locks, nothing is locked.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator

from lora_convert.errors import LockedError, OutputError
from lora_convert.storage.atomic import cannot_write
from lora_convert.storage.positions import read_at, write_at

LOCK = ".lora-convert-lock"
"""The file's name, in the folder that is locked; it is there while the lock is held."""
_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_SIGNATURE = re.compile(r"(\d+) ([\w.:-]+)\n")
_PAUSE = 0.02
"""Seconds between two attempts."""
_SAID_BYTES = 512
_BEYOND = 1 << 20
"""The byte that Windows locks: those that are read for messages must stay readable."""
_held: set[int] = set()
"""Descriptors of this process's locks."""


@contextlib.contextmanager
def held(folder: str, *, wait: float = 0.0) -> Iterator[bool]:
    """Hold the lock of a folder that is there; gives False where nothing can be locked.

    LockedError where another holds it for more than `wait` seconds, also another part of this process.
    The lock of a dead process is free at once. Children that are forked do not hold it.
    """
    path = os.path.join(folder, LOCK)
    try:
        descriptor, locked = _taken(folder, path, time.monotonic() + wait)
    except OSError as error:
        raise cannot_write(error, path, 0) from error
    _held.add(descriptor)
    try:
        yield locked
    finally:
        if descriptor in _held:  # else this is a child that was forked meanwhile
            _let_go(descriptor, path)


def remove_dead(folder: str) -> None:
    """Remove the file of a lock whose holder died; one that is held stays."""
    if os.path.lexists(os.path.join(folder, LOCK)):
        with contextlib.suppress(LockedError, OutputError), held(folder):
            pass


def _taken(folder: str, path: str, until: float) -> tuple[int, bool]:
    while True:
        descriptor = os.open(path, _FLAGS, 0o666)
        try:
            locked = _lock(descriptor)
            if locked is False and time.monotonic() >= until:
                raise _locked(folder, descriptor)
            if locked is not False and _is_at(descriptor, path):
                _sign(descriptor)
                return descriptor, bool(locked)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if locked is False:
            time.sleep(_PAUSE)


def _let_go(descriptor: int, path: str) -> None:
    """The file is removed while it is locked: who waits for it sees that it is gone, and makes another."""
    _held.discard(descriptor)
    if os.name != "nt":  # Windows removes nothing that is open
        with contextlib.suppress(OSError):
            os.unlink(path)
    os.close(descriptor)


def _is_at(descriptor: int, path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    return False


def _lock(descriptor: int) -> bool | None:
    """True where the lock is ours now, False where it is another's, None where there are no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _BEYOND, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the second is how Windows says it
        return False
    except OSError:
        return None
    return True


def _sign(descriptor: int) -> None:
    """Write who holds the lock; where the disk is full nobody is told."""
    import platform

    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        write_at(descriptor, f"{os.getpid()} {platform.node()}\n".encode(), 0)


def _locked(folder: str, descriptor: int) -> LockedError:
    said = b""
    with contextlib.suppress(OSError):
        said = read_at(descriptor, _SAID_BYTES, 0)
    match = _SIGNATURE.match(said.decode("utf-8", "replace"))
    pid, host = match.groups() if match else ("", "")
    return LockedError(folder, pid=pid, host=host)


def _forget() -> None:
    """A child must not hold what its parent locked: it may outlive the parent."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
