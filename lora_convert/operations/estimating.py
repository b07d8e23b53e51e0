"""What a batch would take of the disk, before it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import LoraConvertError, NotEnoughSpaceError
from lora_convert.operations.tasks import PIPELINE
from lora_convert.storage.atomic import check_space
from lora_convert.storage.disk_usage import free_space

if TYPE_CHECKING:
    from lora_convert.operations.assembling import Need
    from lora_convert.operations.batch import RunPlan
    from lora_convert.operations.tasks import Task


class OutputNeed(NamedTuple):
    """What one output would take."""

    item: str
    output: str
    own: int
    """Bytes for it alone."""
    shared: int
    """Bytes in the store of its run, which others of the run have too."""
    problem: str
    """Why it cannot be told, where it cannot: the batch would fail there."""


class Estimate(NamedTuple):
    """What is waiting of a run, and the room for it."""

    run: str
    """The run's folder."""
    outputs: tuple[OutputNeed, ...]
    own: int
    shared: int
    """Bytes that its store would get: what is in it already is not counted."""
    free: int | None
    """Bytes that its disk has free; None where it does not tell."""

    @property
    def needed(self) -> int:
        """All that the disk would take."""
        return self.own + self.shared

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        outputs = [one._asdict() for one in self.outputs]
        return {**self._asdict(), "outputs": outputs, "needed": self.needed}


def estimates(plans: Iterable[RunPlan]) -> list[Estimate]:
    """What each run's waiting tasks would take, in order. Nothing is written.

    Of checkpoints with files of the same sizes one is planned for all. A base that has not been
    downloaded is.
    """
    return [_estimate(plan) for plan in plans]


def _estimate(plan: RunPlan) -> Estimate:
    alike: dict[object, _Known] = {}
    stored: dict[str, int] = {}
    outputs = []
    for task in plan.waiting:
        kind = (task.to, _sizes(task.source))
        if kind not in alike:
            alike[kind] = _known(task)
        needs, problem = alike[kind]
        stored.update((need.name, need.shared) for need in needs if need.name and not need.stored)
        own, shared = sum(need.own for need in needs), sum(need.shared for need in needs)
        outputs.append(OutputNeed(task.item, task.output, own, shared, problem))
    return Estimate(
        plan.run.path,
        tuple(outputs),
        sum(one.own for one in outputs),
        sum(stored.values()),
        free_space(plan.run.path),
    )


class _Known(NamedTuple):
    needs: tuple[Need, ...]
    problem: str = ""


def _known(task: Task) -> _Known:
    from lora_convert.operations.assembling import Assembly, Need
    from lora_convert.operations.convert import plan_convert
    from lora_convert.operations.pipeline import plan_pipeline

    try:
        if task.to != PIPELINE:
            with plan_convert(task.source, task.to, output=task.output) as converted:
                return _Known((Need(converted.plan.size),))
        with plan_pipeline(
            task.source,
            base=task.base,
            base_from=task.base_from,
            output=task.output,
            options=task.options,
        ) as plan:
            return _Known(tuple(Assembly(plan, task.store).needs()))
    except (LoraConvertError, OSError) as error:
        return _Known((), error.what if isinstance(error, LoraConvertError) else str(error))


def _sizes(path: str) -> tuple[tuple[str, int], ...]:
    """Names and sizes of the files that a checkpoint is, or has directly in it."""
    if not os.path.isdir(path):
        return (("", os.path.getsize(path) if os.path.exists(path) else -1),)
    with os.scandir(path) as entries:
        files = [entry for entry in entries if entry.is_file()]
        return tuple(sorted((entry.name, entry.stat().st_size) for entry in files))


def check_room(found: Sequence[Estimate]) -> None:
    """Raise NotEnoughSpaceError where the disk of some runs cannot hold what they need together."""
    disks: dict[int, list[Estimate]] = {}
    for one in found:
        disks.setdefault(os.stat(one.run).st_dev, []).append(one)
    for some in disks.values():
        try:
            check_space(some[0].run, sum(one.needed for one in some))
        except NotEnoughSpaceError as error:
            error.hint = f"lora-convert space {some[0].run} --plan; or make fewer, with --best N"
            raise
