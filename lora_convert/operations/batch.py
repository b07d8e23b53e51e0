"""All checkpoints of runs, each made into what is wanted of it; what is made already is skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from lora_convert.errors import CheckpointNotFoundError
from lora_convert.operations.runs import runs_in
from lora_convert.operations.selecting import Selector, selected
from lora_convert.operations.sharing import PIPELINES
from lora_convert.operations.tasks import PIPELINE, Outcome, Task, tasks_of
from lora_convert.storage import journal
from lora_convert.storage.locks import held

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_convert.operations.pieces import Options
    from lora_convert.operations.runs import Run, RunCheckpoint

JOURNAL = ".journal.jsonl"
"""In a run's folder of pipelines: what became of each item."""

Doing: TypeAlias = Callable[[list[Task]], Iterator[Outcome]]
"""Does tasks, in any order: here, in processes of this machine, or on others."""


class Wanted(NamedTuple):
    """What a batch makes."""

    options: Options
    selector: Selector | None = None
    formats: tuple[str, ...] = ()
    base: str | None = None
    force: bool = False
    verify: bool = True
    whole_files: bool = False
    """Whether sources and bases are hashed whole, for the pipelines' documents."""
    settled: float = 0.0
    """Seconds since 1970: checkpoints that were written later are left for another time."""


class RunPlan(NamedTuple):
    """The tasks of one run, and those that are done already."""

    run: Run
    tasks: tuple[Task, ...]
    waiting: tuple[Task, ...]
    """Of the tasks, those to be done."""


def plan_batch(folders: Iterable[str], wanted: Wanted) -> list[RunPlan]:
    """What is to be done for each run in some folders; CheckpointNotFoundError where one holds none."""
    plans = []
    for folder in dict.fromkeys(map(os.path.normpath, folders)):
        if not os.path.isdir(folder):
            raise CheckpointNotFoundError(folder)
        runs = runs_in(folder)
        if not runs:
            raise CheckpointNotFoundError(
                folder,
                f"{folder}: holds no checkpoints of a run",
                hint="lora-convert runs list FOLDER lists the runs below a folder",
            )
        plans += [_planned(run, wanted) for run in runs]
    return plans


def _planned(run: Run, wanted: Wanted) -> RunPlan:
    chosen = selected(run, wanted.selector, _ranked) if wanted.selector else run.checkpoints
    tasks = tasks_of(
        run,
        tuple(one for one in chosen if not wanted.settled or one.modified < wanted.settled),
        final=wanted.selector is None,
        formats=wanted.formats,
        base=wanted.base,
        options=wanted.options,
        force=wanted.force,
        verify=wanted.verify,
        whole_files=wanted.whole_files,
    )
    last = journal.read(_journal(run))
    waiting = [task for task in tasks if wanted.force or not _is_done(task, last)]
    return RunPlan(run, tuple(tasks), tuple(waiting))


def _ranked(run: Run) -> tuple[RunCheckpoint, ...]:
    from lora_convert.operations.losses import needed_losses, ranked

    return tuple(one for one, _ in ranked(run, needed_losses(run)))


def _journal(run: Run) -> str:
    return os.path.join(run.path, PIPELINES, JOURNAL)


def _is_done(task: Task, last: Mapping[str, journal.Entry]) -> bool:
    """Whether a task was done from the same files with the same options, and its output is still there."""
    entry = last.get(task.item)
    if entry is None or not journal.is_done(last, task.item, state_of(task)):
        return False
    output = entry.facts.get("output")
    return isinstance(output, str) and os.path.exists(output)


def state_of(task: Task) -> str:
    """A name for all that a task depends on: names, sizes and times of files, and the options."""
    return journal.fingerprint(
        {
            "to": task.to,
            "options": task.options._asdict() if task.to == PIPELINE else {},
            "source": _states(task.source),
            "base": _states(task.base) if task.base and task.to == PIPELINE else [],
        }
    )


def _states(path: str) -> list[Any]:
    """Of a file, or of all files directly in a folder and one below it."""
    if not os.path.isdir(path):
        return [_state(path)] if os.path.exists(path) else [path]
    found = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    inner = [
        os.path.join(folder, name)
        for folder in found
        if os.path.isdir(folder)
        for name in sorted(os.listdir(folder))
    ]
    return [_state(file) for file in (*found, *inner) if os.path.isfile(file)]


def _state(path: str) -> list[Any]:
    status = os.stat(path)
    return [os.path.abspath(path), status.st_size, status.st_mtime_ns]


def run_batch(plans: Iterable[RunPlan], doing: Doing) -> Iterator[Outcome]:
    """Do all that is waiting, and tell of each task as it ends; the skipped ones come first.

    Each run is locked meanwhile, and its journal says what was done: an interrupted batch goes on where
    it was. A failure stops nothing.
    """
    with ExitStack() as stack:
        journals: dict[str, journal.Journal] = {}
        waiting: list[Task] = []
        for plan in plans:
            if plan.waiting:
                folder = os.path.dirname(_journal(plan.run))
                os.makedirs(folder, exist_ok=True)
                if folder not in journals:
                    stack.enter_context(held(folder))
                    opened = stack.enter_context(journal.opened(_journal(plan.run)))
                    journals[folder] = opened
            pending = {task.item for task in plan.waiting}
            for task in plan.tasks:
                if task.item not in pending:
                    yield Outcome(task, "skipped", task.output, "made already", {})
            waiting += plan.waiting
        states = {task: state_of(task) for task in waiting}
        for task in waiting:
            folder = os.path.dirname(task.store)
            journals[folder].add(journal.Entry(task.item, "planned", states[task]))
        for outcome in doing(waiting):
            state: journal.State = "failed" if outcome.status == "failed" else "done"
            facts = {"output": outcome.output, "detail": outcome.detail}
            entry = journal.Entry(outcome.task.item, state, states[outcome.task], facts)
            journals[os.path.dirname(outcome.task.store)].add(entry)
            yield outcome
