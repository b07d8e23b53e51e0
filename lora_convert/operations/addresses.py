"""Addresses of what is not a path: ``RUN@500``, ``RUN@best``, ``RUN@last``, ``RUN@final``, ``hf://user/repo``."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from lora_convert.errors import AmbiguousCheckpointError, CheckpointNotFoundError
from lora_convert.operations.runs import runs_in
from lora_convert.storage.compacted import exists
from lora_convert.storage.places import is_hub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.operations.runs import Run

_STEP = re.compile(r"[0-9]{1,18}")
_PARENTS = 4
"""Folders above a checkpoint's weights in which its run is looked for."""
_WORDS = ("best", "last", "final")


def resolved(path: str) -> str:
    """The checkpoint that an address names; any other path, and any that exists, as it is.

    What is on the Hub is fetched into its cache, where the path then leads.
    ``RUN`` is a run's folder, or that folder and the name of its files where it holds several runs. An
    address that names no checkpoint of a run is a CheckpointNotFoundError.
    """
    if is_hub(path):
        from lora_convert.operations.fetching import fetched_adapter

        return fetched_adapter(path)
    address, at, word = path.rpartition("@")
    if not at or not address or exists(path):
        return path
    runs = _runs_at(address)
    if not runs:
        return path
    run = _only(address, runs)
    if _STEP.fullmatch(word):
        from lora_convert.operations.selecting import at_step

        return at_step(run, int(word)).source
    if word not in _WORDS:
        hint = f"after @ stands a step or {', '.join(_WORDS)}"
        raise CheckpointNotFoundError(path, f"{path}: no such file or checkpoint", hint=hint)
    if word == "last":
        return run.checkpoints[-1].source
    return _best(run) if word == "best" else _final(run)


def run_at(address: str) -> Run:
    """The run that stands before an ``@``; CheckpointNotFoundError where there is none."""
    runs = _runs_at(address)
    if runs:
        return _only(address, runs)
    if not os.path.lexists(address):
        raise CheckpointNotFoundError(address)
    raise CheckpointNotFoundError(
        address,
        f"{address}: holds no checkpoints of a run",
        hint="lora-convert runs list FOLDER lists the runs below a folder",
    )


def runs_of(checkpoint: str) -> Iterator[Run]:
    """The runs of which a path is a checkpoint, the result, or a part of them; the innermost first.

    A run's folder of checkpoints is one too, which knows less.
    """
    path = os.path.join(os.path.realpath(checkpoint), "")
    folder = path
    for _ in range(_PARENTS):
        folder = os.path.dirname(folder.rstrip(os.sep))
        for run in runs_in(folder) if os.path.isdir(folder) else ():
            parts = [one.path for one in run.checkpoints] + [run.final or run.path]
            inside = (os.path.join(os.path.realpath(part), "") for part in parts)
            if path.startswith(tuple(inside)):
                yield run


def _runs_at(address: str) -> list[Run]:
    if os.path.isdir(address):
        return runs_in(address)
    folder, name = os.path.split(address)
    if not os.path.isdir(folder or os.curdir):
        return []
    return [run for run in runs_in(folder or os.curdir) if name and run.name == name]


def _only(address: str, runs: list[Run]) -> Run:
    unnamed = [run for run in runs if not run.name]
    if len(runs) == 1 or len(unnamed) == 1:
        return (unnamed or runs)[0]
    raise AmbiguousCheckpointError(
        f"{address}: holds checkpoints of {len(runs)} runs",
        choices=[run.address for run in runs],
        hint=f"give one of them, for example {runs[0].address}@last",
    )


def _best(run: Run) -> str:
    from lora_convert.operations.losses import needed_losses, ranked

    return ranked(run, needed_losses(run))[0][0].source


def _final(run: Run) -> str:
    if run.final is None:
        raise CheckpointNotFoundError(
            run.path,
            f"{run.address}: holds no adapter apart from its checkpoints",
            hint=f"{run.address}@last is the last of those",
        )
    return run.final
