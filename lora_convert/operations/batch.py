"""All checkpoints of runs, each made into what is wanted of it; what is made already is skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from lora_convert.errors import (
    CheckpointNotFoundError,
    CorruptCheckpointError,
    InputError,
    LoraConvertError,
)
from lora_convert.operations.addresses import resolved, run_at
from lora_convert.operations.provenance import is_whole, read_provenance
from lora_convert.operations.runs import runs_in
from lora_convert.operations.selecting import Selector, selected
from lora_convert.operations.sharing import PIPELINES
from lora_convert.operations.tasks import PIPELINE, Outcome, Task, failure, tasks_of
from lora_convert.storage import journal
from lora_convert.storage.compacted import as_before, exists
from lora_convert.storage.folders import is_state
from lora_convert.storage.leftovers import remove_leftovers
from lora_convert.storage.locks import held, remove_dead
from lora_convert.storage.parents import made_folder
from lora_convert.storage.recipes import status_of

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
    settled: float | None = None
    """Seconds since 1970: checkpoints that were written to later are left for another time."""


class RunPlan(NamedTuple):
    """The tasks of one run, and those that are done already."""

    run: Run
    tasks: tuple[Task, ...]
    waiting: tuple[Task, ...]
    """Of the tasks, those to be done."""


def plan_batch(paths: Iterable[str], wanted: Wanted) -> list[RunPlan]:
    """What is to be done for each run in some folders, or at their addresses (``RUN@500``).

    Nothing is planned twice. CheckpointNotFoundError where there is no run.
    """
    plans = []
    planned: set[str] = set()
    for path in paths:
        for run in _runs(path):
            plan = _planned(run, wanted)
            places = {task.output: os.path.realpath(task.output) for task in plan.tasks}
            new = {output for output, place in places.items() if place not in planned}
            planned.update(places.values())
            tasks, waiting = (
                tuple(task for task in some if task.output in new)
                for some in (plan.tasks, plan.waiting)
            )
            plans.append(RunPlan(run, tasks, waiting))
    return plans


def _runs(path: str) -> list[Run]:
    address, at, _ = path.rpartition("@")
    if at and not exists(path):
        run, source = run_at(address), resolved(path)
        chosen = tuple(one for one in run.checkpoints if one.source == source)
        return [run._replace(checkpoints=chosen, final=None if chosen else run.final)]
    folder = os.path.normpath(path)
    return (runs_in(folder) if os.path.isdir(folder) else []) or [run_at(folder)]


def _planned(run: Run, wanted: Wanted) -> RunPlan:
    chosen = selected(run, wanted.selector, _ranked) if wanted.selector else run.checkpoints
    tasks = tasks_of(
        run,
        chosen,
        final=wanted.selector is None,
        formats=wanted.formats,
        base=wanted.base,
        options=wanted.options,
        force=wanted.force,
        verify=wanted.verify,
        whole_files=wanted.whole_files,
    )
    tasks = [task for task in tasks if _is_settled(task, wanted.settled)]
    try:
        last = journal.read(os.path.join(_folder(run), JOURNAL))
    except CorruptCheckpointError:  # whoever opens it says so, and ends no other run
        last = {}
    waiting = [
        task._replace(force=task.force or _is_ours(task, last))
        for task in tasks
        if wanted.force or not _is_done(task, last)
    ]
    return RunPlan(run, tuple(tasks), tuple(_with_losses(run, waiting)))


def _is_settled(task: Task, moment: float | None) -> bool:
    return moment is None or all(
        state[-1] < moment * 1e9 for state in _states(task.source) if len(state) > 1
    )


def _with_losses(run: Run, tasks: list[Task]) -> list[Task]:
    """The tasks, told of their checkpoints' losses where those are known; logs are read once."""
    from lora_convert.operations.losses import loss_of, read_losses

    try:
        found = read_losses(run) if tasks and run.checkpoints else None
    except (InputError, OSError):  # a pipeline does not need it
        found = None
    if found is None:
        return tasks
    losses = {one.source: loss_of(one, found) for one in run.checkpoints}
    return [
        task._replace(told=task.told._replace(loss=_finite(losses.get(task.source))))
        for task in tasks
    ]


def _finite(loss: float | None) -> float | None:
    return loss if loss is not None and isfinite(loss) else None


def _ranked(run: Run) -> tuple[RunCheckpoint, ...]:
    from lora_convert.operations.losses import needed_losses, ranked

    return tuple(one for one, _ in ranked(run, needed_losses(run)))


def _folder(run: Run) -> str:
    return os.path.join(run.path, PIPELINES)


def _is_done(task: Task, last: Mapping[str, journal.Entry]) -> bool:
    """Whether a task was done from the same files with the same options, and its output is still there."""
    entry = last.get(task.item)
    if entry is None or not journal.is_done(last, task.item, state_of(task)):
        return False
    if task.to != PIPELINE:
        return _is_ours(task, last)
    document = read_provenance(task.output)
    made_of = document.get("fingerprint", "")
    return entry.facts.get("fingerprint") == made_of and is_whole(task.output, document, made_of)


def _is_ours(task: Task, last: Mapping[str, journal.Entry]) -> bool:
    """Whether LoRA files lie there as a batch left them: then another may replace them."""
    made = last[task.item].facts.get("made") if task.item in last else None
    return bool(made) and task.to != PIPELINE and made == _states(task.output)


def state_of(task: Task) -> str:
    """A name for all that a task depends on: names, sizes and times of files, and the options."""
    return journal.fingerprint(
        {
            "to": task.to,
            "options": task.options._asdict() if task.to == PIPELINE else {},
            "source": _states(task.source),
            "base": _states(_base_folder(task.base)) if task.base and task.to == PIPELINE else [],
        }
    )


def _base_folder(name: str) -> str:
    """The folder of a base as far as it is on this machine, else its name."""
    if os.path.exists(name):
        return name
    from lora_convert.operations.bases import cached

    try:
        return cached(name) or name
    except CheckpointNotFoundError:  # its task says so
        return name


def _states(path: str) -> list[list[Any]]:
    """Of a file, or of all files directly in a folder and one below it; what goes meanwhile has none.

    Of compacted files as they were before; a trainer's state is nothing that anything is made of.
    """
    if not os.path.isdir(path):
        return [_state(path)]
    found = [os.path.join(path, name) for name in _names(path)]
    inner = [os.path.join(folder, name) for folder in found for name in _names(folder)]
    return [_state(file) for file in (*found, *inner) if exists(file) and not os.path.isdir(file)]


def _names(folder: str) -> list[str]:
    try:
        return sorted(name for name in as_before(os.listdir(folder)) if not is_state(name))
    except OSError:
        return []


def _state(path: str) -> list[Any]:
    try:
        return [os.path.abspath(path), *status_of(path)]
    except (OSError, InputError):
        return [path]


def run_batch(plans: Iterable[RunPlan], doing: Doing) -> Iterator[Outcome]:
    """Do all that is waiting, and tell of each task as it ends; the skipped ones come first.

    Each run is locked meanwhile, and its journal says what was done: an interrupted batch goes on where
    it was. A failure stops nothing; a run that another process works on fails too, where there are
    others, and else is a LockedError.
    """
    plans = [*plans]
    with ExitStack() as stack:
        journals: dict[str, journal.Journal] = {}
        waiting: list[Task] = []
        for plan in plans:
            pending = {task.item for task in plan.waiting}
            for task in plan.tasks:
                if task.item not in pending:
                    yield Outcome(task, "skipped", task.output, "made already", {})
            try:
                if not plan.waiting:
                    remove_dead(_folder(plan.run))
                else:
                    _open(journals, os.path.realpath(_folder(plan.run)), stack)
            except LoraConvertError as error:
                if len(plans) == 1:
                    raise
                yield from (failure(task, error) for task in plan.waiting)
                continue
            waiting += plan.waiting
        for folder in {os.path.dirname(task.output) for task in waiting}:
            remove_leftovers(folder)  # of a dead batch that had published, and not yet written so
        states = {task: state_of(task) for task in waiting}
        for task in waiting:
            found = _journal_of(task, journals)
            made = (
                {"made": found.last[task.item].facts.get("made")} if task.item in found.last else {}
            )
            found.add(journal.Entry(task.item, "planned", states[task], made))
        for outcome in doing(waiting):
            state: journal.State = "failed" if outcome.status == "failed" else "done"
            made_of = outcome.fields.get("fingerprint", "")
            found = _journal_of(outcome.task, journals)
            kept = found.last[outcome.task.item].facts.get("made")
            facts = {
                "output": outcome.output,
                "detail": outcome.detail,
                "fingerprint": made_of,
                "made": _states(outcome.task.output) if state == "done" else kept,
            }
            found.add(journal.Entry(outcome.task.item, state, states[outcome.task], facts))
            yield outcome


def _open(journals: dict[str, journal.Journal], folder: str, stack: ExitStack) -> None:
    """Lock a run's folder of pipelines and open its journal, unless this batch has them already."""
    if folder not in journals:
        with made_folder(folder):
            pass
        with ExitStack() as attempt:
            attempt.enter_context(held(folder))
            found = attempt.enter_context(journal.opened(os.path.join(folder, JOURNAL)))
            stack.push(attempt.pop_all())
        journals[folder] = found


def _journal_of(task: Task, journals: Mapping[str, journal.Journal]) -> journal.Journal:
    return journals[os.path.realpath(os.path.dirname(task.store))]
