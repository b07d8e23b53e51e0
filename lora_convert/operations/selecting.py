"""Which checkpoints of a run are meant: the best, some steps, every so many, or the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CheckpointNotFoundError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lora_convert.operations.runs import Run, RunCheckpoint

_NEAREST = 3


class Selector(NamedTuple):
    """A choice among checkpoints; exactly one field is given. `selector` checks that."""

    best: int | None = None
    steps: tuple[int, ...] = ()
    every: int | None = None
    last: int | None = None


def selector(
    *,
    best: int | None = None,
    steps: Sequence[int] = (),
    every: int | None = None,
    last: int | None = None,
) -> Selector | None:
    """The one that is given, or None where none is; OptionError where several are, or one is below 1."""
    counts = {"best": best, "every": every, "last": last}
    given = [name for name, value in counts.items() if value is not None]
    given += ["steps"] if steps else []
    if len(given) > 1:
        first, second, *_ = sorted(given)
        why = f"{second} is given too, and each says alone which checkpoints are meant"
        raise OptionError(first, counts.get(first, [*steps]), why=why, hint="give one of them")
    for name, value in counts.items():
        if value is not None and value < 1:
            raise OptionError(name, value, why="it counts from 1")
    return Selector(best, tuple(steps), every, last) if given else None


def selected(
    run: Run, wanted: Selector, ranked: Callable[[Run], Sequence[RunCheckpoint]]
) -> tuple[RunCheckpoint, ...]:
    """The checkpoints that a selector means, in the run's order; all of them exist.

    `ranked` gives the run's checkpoints, the best first; it is asked only where the best are wanted.
    """
    if wanted.best is not None:
        kept = {one.path for one in ranked(run)[: wanted.best]}
    elif wanted.last is not None:
        kept = {one.path for one in run.checkpoints[-wanted.last :]}
    elif wanted.every is not None:
        counted = ((one, count_of(run, one)) for one in run.checkpoints)
        kept = {one.path for one, count in counted if count >= 0 and count % wanted.every == 0}
    else:
        kept = {at_step(run, step).path for step in wanted.steps}
    if not kept:
        steps = _listed(run, wanted.every or 0)
        raise CheckpointNotFoundError(
            run.path, f"{run.address}: none of its checkpoints is wanted", hint=f"there are {steps}"
        )
    return tuple(one for one in run.checkpoints if one.path in kept)


def at_step(run: Run, step: int) -> RunCheckpoint:
    """The checkpoint of a step; of an epoch, where the run counts epochs alone.

    CheckpointNotFoundError names the nearest where there is none.
    """
    for one in run.checkpoints:
        if count_of(run, one) == step:
            return one
    raise CheckpointNotFoundError(
        run.path,
        f"{run.address}: has no checkpoint of {axis_of(run)} {step}",
        hint=f"the nearest are {_listed(run, step)}",
    )


def axis_of(run: Run) -> str:
    """What a run's checkpoints are counted by: ``step``, or ``epoch`` where none has a step."""
    return "epoch" if all(one.step is None for one in run.checkpoints) else "step"


def count_of(run: Run, one: RunCheckpoint) -> int:
    """The number a checkpoint is known by; -1 where it has none of the kind that the run counts by."""
    count = one.epoch if axis_of(run) == "epoch" else one.step
    return -1 if count is None else count


def _listed(run: Run, near: int) -> str:
    counts = sorted({count_of(run, one) for one in run.checkpoints} - {-1})
    nearest = sorted(sorted(counts, key=lambda count: abs(count - near))[:_NEAREST])
    return ", ".join(map(str, nearest))
