"""Batches of runs that are still being trained: look, do what is new, and look again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from lora_convert.errors import CheckpointNotFoundError, LockedError
from lora_convert.operations.batch import plan_batch, run_batch, state_of

if TYPE_CHECKING:
    from lora_convert.operations.batch import Doing, RunPlan, Wanted
    from lora_convert.operations.tasks import Outcome, Task

PAUSE = 5.0
"""Seconds between two looks."""
SETTLED = 10.0
"""Seconds since its last change after which a checkpoint counts as written."""


def watch(
    paths: Sequence[str],
    wanted: Wanted,
    doing: Doing,
    *,
    clock: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Outcome]:
    """What becomes of checkpoints as they appear, without end; what was made before is not told of.

    One that failed is tried again once its files have changed. A run that has no checkpoints, or is
    another process's, is looked at again; CheckpointNotFoundError where there is no folder at all.
    """
    tried: dict[str, str] = {}
    while True:
        now = wanted._replace(settled=clock() - SETTLED)
        for plan in _plans(paths, now):
            states = {task: state_of(task) for task in plan.waiting}
            new = [task for task, state in states.items() if tried.get(_name(task)) != state]
            try:
                for outcome in run_batch([plan._replace(waiting=tuple(new))], doing):
                    if outcome.status == "failed" or (wanted.force and outcome.task in states):
                        tried[_name(outcome.task)] = states[outcome.task]
                    if outcome.status != "skipped":
                        yield outcome
            except LockedError:
                continue
        pause(PAUSE)


def _name(task: Task) -> str:
    return f"{task.output} {task.to}"


def _plans(paths: Sequence[str], wanted: Wanted) -> list[RunPlan]:
    try:
        return plan_batch(paths, wanted)
    except CheckpointNotFoundError:
        folders = [path for path in paths if os.path.isdir(path)]
        if len(folders) < len(paths):
            raise
        return [plan for path in folders for plan in _of_one(path, wanted)]


def _of_one(path: str, wanted: Wanted) -> list[RunPlan]:
    try:
        return plan_batch([path], wanted)
    except CheckpointNotFoundError:
        return []
