"""Whether a run may still be training: what is taken from it then could be what it goes on from."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from lora_convert.errors import InputError, RunActiveError
from lora_convert.operations.run_layouts import MADE_HERE
from lora_convert.operations.runs import MANIFEST
from lora_convert.operations.sharing import FINAL, PIPELINES, TRASH
from lora_convert.storage.documents import read_document
from lora_convert.storage.leftovers import is_temporary
from lora_convert.storage.locks import LOCK, held, remove_dead

RECENT = 300.0
"""Seconds since a write, within which a run counts as written to."""
_SETTLED = ("finished", "failed", "interrupted")
"""States in ``run.json`` that a training ends with (lora-convert-train)."""
_OUR_FOLDERS = {*MADE_HERE, TRASH}
_OUR_ENDINGS = (".recipe", ".adapter.safetensors", f"-{FINAL}")


@contextlib.contextmanager
def reserved(path: str, *, force: bool = False) -> Iterator[None]:
    """Hold a run for oneself while something is taken from it: no other command of ours writes to it.

    LockedError where one does, also with `force`; RunActiveError where a training may, as of `check_idle`.
    """
    with contextlib.ExitStack() as stack:
        for folder in _locked(path):
            stack.enter_context(held(folder))
        check_idle(path, force=force)
        yield


def remove_dead_locks(path: str) -> None:
    """Remove what commands left of their locks that died once all was done."""
    for folder in _locked(path):
        remove_dead(folder)


def _locked(path: str) -> list[str]:
    """The folders of a run that commands lock which write to it."""
    pipelines = os.path.join(path, PIPELINES)
    return [path, *([pipelines] if os.path.isdir(pipelines) else [])]


def check_idle(path: str, *, force: bool = False, now: float | None = None) -> None:
    """Raise RunActiveError where a run may still be training, unless `force`.

    That is where its ``run.json`` says so, of a process that lives, or of another machine; and where
    anything of the run that is not ours was written in the last five minutes, unless ``run.json`` says
    that the training has ended.
    """
    if force:
        return
    document = _manifest(path)
    state = document.get("state")
    if state in _SETTLED:
        return
    if state == "running":
        _check_process(path, document)
    _check_writes(path, time.time() if now is None else now)


def _manifest(path: str) -> Mapping[str, Any]:
    try:
        document = read_document(os.path.join(path, MANIFEST))
    except InputError:
        return {}
    return document if isinstance(document, dict) else {}


def _check_process(path: str, document: Mapping[str, Any]) -> None:
    import platform

    pid, host = document.get("pid"), document.get("host")
    if host != platform.node():
        problem = f"its {MANIFEST} says that it runs on {host or 'a machine that it does not name'}"
    elif _lives(pid):
        problem = f"its {MANIFEST} says that process {pid} on {host} runs it"
    else:
        return
    raise RunActiveError(
        path, problem, hint="wait until it has ended; if you know that it has, give --force"
    )


def _lives(pid: object) -> bool:
    """Whether there is a process of that number; True where that cannot be known."""
    if type(pid) is not int or pid <= 0 or os.name == "nt":  # there, signal 0 is not a question
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


def _check_writes(path: str, now: float) -> None:
    written, name = max(_writes(path), default=(float("-inf"), ""))
    age = now - written
    if age >= RECENT:
        return
    when = f"{age:.0f} seconds ago" if age >= 0 else f"{-age:.0f} seconds in the future"
    wait = max(RECENT - age, 0)
    raise RunActiveError(
        path,
        f"{name} was written {when}",
        hint=f"wait {wait:.0f} seconds; if you know that the training has ended, give --force",
    )


def _writes(path: str) -> Iterator[tuple[float, str]]:
    """When each file of a run was written that is not ours; links are not followed."""
    for folder, inner, names in os.walk(path):
        inner[:] = [name for name in inner if not _is_ours(name)]
        for name in names:
            if not _is_ours(name):
                file = os.path.join(folder, name)
                with contextlib.suppress(OSError):  # gone by now
                    yield os.lstat(file).st_mtime, os.path.relpath(file, path)


def _is_ours(name: str) -> bool:
    return name in _OUR_FOLDERS or name == LOCK or name.endswith(_OUR_ENDINGS) or is_temporary(name)
