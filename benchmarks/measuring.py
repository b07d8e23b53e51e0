"""Whole processes, measured: seconds, peak memory, and ratios of neighbours in time."""

from __future__ import annotations

import os
import sys
import sysconfig
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

PYTHON = sys.executable
CONSOLE = os.path.join(sysconfig.get_path("scripts"), "lora-convert")
MODULE = (PYTHON, "-m", "lora_convert")

_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    "OMP_NUM_THREADS": "1",
}
"""Python's own settings are left out: without cached bytecode, say, start-up would be a compiler's."""


class Run(NamedTuple):
    """One process that ended well."""

    seconds: float
    megabytes: float
    """Peak resident memory, or the spawning process's where that is larger: it stays small."""


class Pairs(NamedTuple):
    """Two commands that took turns."""

    ratio: float
    """Median of the quotients, first by second."""
    first: float
    second: float
    """Medians, in seconds."""


def run(command: tuple[str, ...] | list[str]) -> Run:
    """Run a command to its end; RuntimeError, with what it wrote to stderr, where it failed."""
    reader, writer = os.pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, writer, 2),
        (os.POSIX_SPAWN_CLOSE, reader),
    ]
    started = time.perf_counter()
    child = os.posix_spawnp(command[0], command, _ENVIRONMENT, file_actions=actions)
    os.close(writer)
    with os.fdopen(reader, "rb") as errors:
        written = errors.read()
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    if status:
        raise RuntimeError(f"{' '.join(command)}: {written.decode(errors='replace')[-2000:]}")
    kilo = 1 if sys.platform == "darwin" else 1024
    return Run(seconds, usage.ru_maxrss * kilo / 1e6)


def pairs(first: Callable[[], Run], second: Callable[[], Run], rounds: int) -> Pairs:
    """A B A B …: what slows the machine down for a while slows both. The first turn is left out."""
    first()
    second()
    taken = [(first(), second()) for _ in range(rounds)]
    return Pairs(
        median(one.seconds / other.seconds for one, other in taken),
        median(one.seconds for one, _ in taken),
        median(other.seconds for _, other in taken),
    )
