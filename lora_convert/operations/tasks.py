"""One output of one checkpoint: a task that any process can do, and that can be done again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from lora_convert.errors import DestinationExistsError, LoraConvertError
from lora_convert.formats import FORMATS
from lora_convert.operations.bases import OPTION, RUN
from lora_convert.operations.destination import place_of, stem_of
from lora_convert.operations.provenance import Told

if TYPE_CHECKING:
    from lora_convert.operations.pieces import Options
    from lora_convert.operations.runs import Run, RunCheckpoint

PIPELINE = "pipeline"
"""What a task makes unless it makes LoRA files of a format."""

Status: TypeAlias = Literal["converted", "skipped", "failed"]


class Task(NamedTuple):
    """What to make of a checkpoint, in values that can be sent to another process."""

    name: str
    """Of the checkpoint, for people."""
    source: str
    to: str
    """``pipeline``, or a format."""
    output: str
    base: str | None
    base_from: str
    store: str
    options: Options
    force: bool
    verify: bool
    whole_files: bool
    told: Told = Told()

    @property
    def item(self) -> str:
        """What it is called in a journal."""
        return f"{self.name} → {self.to}"


class Outcome(NamedTuple):
    """What became of a task."""

    task: Task
    status: Status
    output: str
    detail: str
    """A few words for people; of a failure, what happened."""
    fields: dict[str, Any]
    """The result as JSON has it, or the error."""


def do(task: Task) -> Outcome:
    """Do a task. What goes wrong with it is an outcome; only a defect of this package is raised."""
    try:
        return _pipeline(task) if task.to == PIPELINE else _files(task)
    except (LoraConvertError, OSError, MemoryError) as error:
        return failure(task, error)


def failure(task: Task, error: Exception) -> Outcome:
    """The outcome of a task that an error ended."""
    what, why, hint = str(error) or type(error).__name__, "", ""
    if isinstance(error, LoraConvertError):
        what, why, hint = error.what, error.why, error.hint
    said = {"type": type(error).__name__, "message": what, "why": why, "next": hint}
    fields = {name: text for name, text in said.items() if text}
    return Outcome(task, "failed", task.output, what, {"error": fields})


def _pipeline(task: Task) -> Outcome:
    from lora_convert.operations.assembling import Assembly
    from lora_convert.operations.pipeline import plan_pipeline

    with plan_pipeline(
        task.source,
        base=task.base,
        base_from=task.base_from,
        output=task.output,
        options=task.options,
    ) as plan:
        done = Assembly(plan, task.store, task.verify, told=task.told).run(
            force=task.force, renew=True, whole_files=task.whole_files
        )
    status: Status = "skipped" if done.status == "unchanged" else "converted"
    detail = f"{len(plan.adapter.deltas)} modules merged"
    return Outcome(task, status, task.output, detail, done.as_json())


def _files(task: Task) -> Outcome:
    from lora_convert.operations.convert import convert

    try:
        done = convert(
            task.source, task.to, output=task.output, force=task.force, verify=task.verify
        )
    except DestinationExistsError as error:
        error.hint = "--force replaces it"
        raise
    status: Status = "skipped" if done.status == "unchanged" else "converted"
    exact = ", bit-exact" if done.proof and done.proof.exact else ""
    return Outcome(
        task, status, done.output, f"{done.plan['modules']} modules{exact}", done.as_json()
    )


def tasks_of(
    run: Run,
    checkpoints: tuple[RunCheckpoint, ...],
    *,
    final: bool,
    formats: tuple[str, ...],
    base: str | None,
    options: Options,
    force: bool = False,
    verify: bool = True,
    whole_files: bool = False,
) -> list[Task]:
    """What to make of a run: a pipeline of each checkpoint, of its last weights, and LoRA files.

    Pipelines are left away where nothing names a base and files are wanted.
    """
    from lora_convert.operations.sharing import FINAL, LORAS, PIPELINES, SHARED

    base, base_from = (base, OPTION) if base else (run.base_model, RUN)
    kinds = (*((PIPELINE,) if base or not formats else ()), *formats)
    folder, loras = (os.path.join(run.path, name) for name in (PIPELINES, LORAS))
    prefix = f"{run.name}-" if run.name and run.address != run.path else ""
    places = [
        (name := stem_of(one.name), one.source, os.path.join(folder, name), Told(one.step))
        for one in checkpoints
    ]
    if final and run.final:
        output = os.path.join(run.path, f"{prefix}{FINAL}")
        places.append((f"{prefix}final", run.final, output, Told()))
    return [
        Task(
            name,
            source,
            kind,
            output if kind == PIPELINE else place_of(name, FORMATS[kind], loras),
            base,
            base_from,
            os.path.join(folder, SHARED),
            options,
            force,
            verify,
            whole_files,
            told,
        )
        for name, source, output, told in places
        for kind in dict.fromkeys(kinds)
    ]
