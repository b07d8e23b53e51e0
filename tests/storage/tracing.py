"""The system calls of a command, and the law that what it made survives a power cut."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

CALLS = (
    "open,openat,openat2,creat,write,pwrite64,writev,pwritev,copy_file_range,sendfile,ftruncate,"
    "truncate,fallocate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "mkdir,mkdirat,unlink,unlinkat,rmdir,chmod,fchmod,fchmodat,utimensat,ioctl,mmap"
)
_WRITING = {"write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate"}
_BELOW = {"unlinkat", "mkdirat", "renameat", "renameat2", "linkat"}
"""Calls in which each path comes after the open folder that it begins in."""
_LINE = re.compile(r"(\d+) +(?:(\w+)\((.*)|<\.\.\. (\w+) resumed>(.*))", re.DOTALL)
_RESULT = re.compile(r"\) += (-?\d+)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"-?(?:\d+|AT_FDCWD)<((?:[^>\\]|\\.)*)>")

needs_strace = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("strace") is None, reason="strace is not installed"
)


class Call(NamedTuple):
    """A finished system call: `began` and `ended` order the calls of all threads."""

    name: str
    texts: tuple[str, ...]
    """Paths as they were given, absolute."""
    places: tuple[str, ...]
    """What the descriptors among the arguments are open on."""
    arguments: str
    result: int
    began: int
    ended: int


class Traced(NamedTuple):
    """What a command answered, and how it got there."""

    exit_code: int
    stdout: str
    stderr: str
    calls: tuple[Call, ...]

    def opened(self, *, writing: bool) -> list[str]:
        """Paths of successful and failed opens for reading or for writing, links resolved."""
        return [
            os.path.realpath(call.texts[0])
            for call in self.calls
            if call.name.startswith(("open", "creat"))
            and bool(re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)", call.arguments)) == writing
        ]


def traced(arguments: Sequence[str], *, cwd: Path) -> Traced:
    """Run the command line under strace."""
    return _traced(["-m", "lora_convert", *arguments], cwd)


def traced_code(code: str, *, cwd: Path) -> Traced:
    """Run Python code under strace."""
    return _traced(["-c", code], cwd)


def _traced(arguments: Sequence[str], cwd: Path) -> Traced:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        # each path in full and escaped: names in it can hold anything
        command = ["strace", "-f", "-y", "-s", "8192", "-o", str(log), "-e", f"trace={CALLS}"]
        done = subprocess.run(
            [*command, sys.executable, "-B", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        calls = tuple(_calls(log.read_text(errors="surrogateescape").splitlines(), cwd))
    return Traced(done.returncode, done.stdout, done.stderr, calls)


def _calls(lines: Sequence[str], cwd: Path) -> list[Call]:
    begun: dict[str, tuple[str, str, int]] = {}
    found = []
    for number, line in enumerate(lines):
        match = _LINE.match(line)
        if not match:
            continue
        process, name, rest, resumed, more = match.groups()
        if name and rest.endswith("<unfinished ...>"):
            begun[process] = (name, rest.removesuffix("<unfinished ...>"), number)
            continue
        began = number
        if resumed:
            name, before, began = begun.pop(process)
            rest = before + more
        result = _RESULT.search(rest)
        if result:
            given = rest[: result.start()]
            found.append(
                Call(
                    name,
                    _texts(name, given, cwd),
                    _places(given),
                    given,
                    int(result[1]),
                    began,
                    number,
                )
            )
    return found


def _texts(name: str, given: str, cwd: Path) -> tuple[str, ...]:
    if name in _WRITING or name == "ioctl":
        return ()
    texts = [_unescaped(text) for text in _TEXT.findall(given)]
    folders = _places(given) if name in _BELOW else ()
    below = folders if len(folders) == len(texts) else [str(cwd)] * len(texts)
    return tuple(
        os.path.normpath(os.path.join(cwd, folder, text))
        for folder, text in zip(below, texts, strict=True)
    )


def _places(given: str) -> tuple[str, ...]:
    return tuple(_unescaped(place) for place in _DESCRIPTOR.findall(given))


def _unescaped(text: str) -> str:
    return os.fsdecode(
        text.encode("ascii", "backslashreplace").decode("unicode_escape").encode("latin-1")
    )


def losses(calls: Sequence[Call], below: Path) -> list[str]:
    """What a power cut after the last call could take away of all that was made in a folder.

    A file is safe once it was synced after its last write; a name once its folder was synced after the
    name was given; and a file must be safe before it gets its final name, else that name may be
    found with nothing behind it.
    """
    unsynced, named, found = _Unsynced(), _Unsynced(), []
    for call in sorted((call for call in calls if call.result >= 0), key=lambda call: call.ended):
        if call.name in _WRITING or call.name in {"copy_file_range", "sendfile"}:
            unsynced[call.places[-1 if call.name == "copy_file_range" else 0]] = call.ended
        elif call.name.startswith(("open", "creat", "mkdir", "symlink")):
            if not call.name.startswith("open") or "O_CREAT" in call.arguments:
                named[call.texts[-1]] = call.ended
        elif call.name in {"fsync", "fdatasync"}:
            unsynced.sync(call, {call.places[0]})
            named.sync(call, {name for name in named if os.path.dirname(name) == call.places[0]})
        elif call.name.startswith(("rename", "link")):
            old, new = call.texts
            named.pop(old, None)
            found += [f"{p} was not synced before it became {new}" for p in unsynced.take(old)]
            found += [
                f"the name {p} was not synced before {new} was given" for p in named.take(old)
            ]
            named[new] = call.ended
        elif call.name.startswith(("unlink", "rmdir")):
            for known in (unsynced, named):
                known.pop(call.texts[0], None)
    inside = str(below) + os.sep
    left = [path for path in (*unsynced, *named) if path.startswith(inside)]
    return found + [f"{path} was not synced" for path in left]


class _Unsynced(dict[str, int]):
    """Paths whose bytes, or whose names, are not on the disk, and since which call."""

    def sync(self, call: Call, paths: set[str]) -> None:
        """Strike out what was there when a sync began."""
        for path in paths & self.keys():
            if self[path] < call.began:
                del self[path]

    def take(self, path: str) -> list[str]:
        """Strike out all within a path; returns it."""
        taken = [name for name in self if name == path or name.startswith(path + os.sep)]
        for name in taken:
            del self[name]
        return taken
