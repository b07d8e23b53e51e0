"""Work in child processes that begin at one moment, or die at a chosen one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Literal, TypeAlias

from lora_convert.storage import renaming

WRITING = (
    "open",
    "pwrite",
    "copy_file_range",
    "fsync",
    "link",
    "replace",
    "rename",
    "mkdir",
    "rmdir",
    "symlink",
    "ftruncate",
    "fchmod",
    "unlink",
)
"""The calls that change a disk, by their names in os."""
Moment: TypeAlias = Literal["before", "half", "after"]


def together(works: Sequence[Callable[[], str]]) -> list[str]:
    """What works say that run at the same time, each in a process of its own."""
    gate, opened = os.pipe()
    children = [_child(work, gate, opened) for work in works]
    os.close(gate)
    os.close(opened)  # every child's read ends now
    said = []
    for process, pipe in children:
        with os.fdopen(pipe) as text:
            said.append(text.read())
        os.waitpid(process, 0)
    return said


def _child(work: Callable[[], str], gate: int, opened: int) -> tuple[int, int]:
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    try:
        os.close(opened)
        os.read(gate, 1)
        os.write(writing, work().encode())
    except BaseException as error:  # noqa: BLE001 - the parent reads what went wrong
        os.write(writing, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)


def calls_of(work: Callable[[], object]) -> int:
    """How many writing calls a work makes."""
    counted = [0]
    restore = _watch(lambda number: counted.__setitem__(0, number), lambda name, number, how: None)
    try:
        work()
    finally:
        restore()
    return counted[0]


def killed_at(work: Callable[[], object], call: int, moment: Moment) -> bool:
    """Run a work in a child that is killed at its writing call of that number; whether it was."""
    process = os.fork()
    if process:
        return os.WIFSIGNALED(os.waitpid(process, 0)[1])

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def before(name: str, number: int, how: tuple[Any, ...]) -> None:
        if number == call and moment == "half" and name == "pwrite":
            _REAL[name](how[0], bytes(how[1])[: len(how[1]) // 2], how[2])
            die()
        if number == call and moment != "after":
            die()

    try:
        _watch(lambda number: die() if number == call and moment == "after" else None, before)
        work()
    finally:
        os._exit(0)


_PLACES: dict[str, ModuleType] = {name: os for name in WRITING if hasattr(os, name)} | {
    "_rename_exclusively": renaming,
    "_rename_exchanging": renaming,
}
_REAL: dict[str, Callable[..., Any]] = {
    name: getattr(place, name) for name, place in _PLACES.items()
}


def _watch(
    after: Callable[[int], None], before: Callable[[str, int, tuple[Any, ...]], None]
) -> Callable[[], None]:
    """Tell of every writing call of this process, before and after it; returns how to stop that."""
    number = [0]

    def watched(name: str) -> Callable[..., Any]:
        def call(*how: Any, **more: Any) -> Any:
            if name == "open" and not how[1] & os.O_CREAT:
                return _REAL[name](*how, **more)
            number[0] += 1
            own = number[0]
            before(name, own, how)
            try:
                return _REAL[name](*how, **more)
            finally:
                after(own)

        return call

    for name, place in _PLACES.items():
        setattr(place, name, watched(name))

    def restore() -> None:
        for name, real in _REAL.items():
            setattr(_PLACES[name], name, real)

    return restore
