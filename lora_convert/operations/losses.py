"""What a run's logs say about its loss, and which of its checkpoints that makes the best."""

from __future__ import annotations

import math
import os
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.operations.run_layouts import MADE_HERE, layout_of
from lora_convert.operations.selecting import axis_of
from lora_convert.storage.folders import natural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lora_convert.operations.runs import Run, RunCheckpoint

WINDOW = 0.05
"""Of the recorded steps, to each side of the one that is asked about."""

STEP_TAGS = (
    "loss",
    "train_loss",
    "train/loss",
    "loss/current",
    "loss/train_step",
    "loss/average",
)
"""What tools call the curve of their loss by step; plain values before running averages."""

EPOCH_TAGS = ("loss/epoch_average", "loss/epoch")
"""The same by epoch (sd-scripts)."""

LOG_KEYS = ("loss/loss", "loss")
"""The same in ai-toolkit's log."""

_DEPTH = 4
"""Of folders in which event files are looked for."""

_MOST_STEPS = 1 << 53
"""That a float still tells apart."""
MOST_POINTS = 5_000_000
"""Of one log, so that memory has a bound: years of training."""

Points = list[tuple[int, float]]
T = TypeVar("T")


class LossHistory(NamedTuple):
    """A recorded loss."""

    source: str
    """The file or folder it was read from."""
    axis: str
    """What it is recorded by: ``step`` or ``epoch``."""
    points: tuple[tuple[int, float], ...]
    """In order; each step once, as recorded last."""

    @property
    def reach(self) -> float:
        """Half the width of the window in which losses are averaged, in steps."""
        return WINDOW * (self.points[-1][0] - self.points[0][0])

    def smoothed_at(self, step: int) -> float | None:
        """The plain mean of the losses recorded within `reach` of a step, on both sides of it.

        `reach` is a twentieth of the recorded range, so that a tenth of the history counts, and less at
        its ends. Where nothing was recorded so near, it is the loss recorded nearest (the earlier of
        two), as long as the step lies in the recorded range or within `reach` of it, else None. Losses
        that are not finite are left out; where they are half or more of the window, it is infinite.
        """
        first, last = self.points[0][0], self.points[-1][0]
        if not first - self.reach <= step <= last + self.reach:
            return None
        start = bisect_left(self.points, step - self.reach, key=_step)
        stop = bisect_right(self.points, step + self.reach, key=_step)
        if start == stop:
            start = min(
                (index for index in (start - 1, start) if 0 <= index < len(self.points)),
                key=lambda index: abs(self.points[index][0] - step),
            )
            stop = start + 1
        near = [loss for _, loss in self.points[start:stop]]
        finite = [*filter(math.isfinite, near)]
        return sum(finite) / len(finite) if 2 * len(finite) > len(near) else math.inf


def _step(point: tuple[int, float]) -> int:
    return point[0]


def history(source: str, axis: str, recorded: Iterable[tuple[int, float]]) -> LossHistory | None:
    """A history of points in the order in which they were recorded; None where there are none.

    A step that is not after the one before it was recorded by a run that went on from a checkpoint:
    what had been recorded from there on is replaced. What is no number of steps is left out.
    """
    points: Points = []
    for step, loss in _counted(source, recorded):
        if not 0 <= step < _MOST_STEPS:
            continue
        if points and step <= points[-1][0]:
            del points[bisect_left(points, step, key=_step) :]
        points.append((step, loss))
    return LossHistory(source, axis, tuple(points)) if points else None


def _counted(source: str, recorded: Iterable[T]) -> Iterator[T]:
    for number, one in enumerate(recorded):
        if number >= MOST_POINTS:
            raise CorruptCheckpointError(source, f"records more than {MOST_POINTS:,} values")
        yield one


def read_losses(run: Run) -> LossHistory | None:
    """The loss by step, or by epoch where the run counts epochs alone; None where none is recorded.

    The first of `SOURCES` that has one is taken; one that is broken is a CorruptCheckpointError.
    """
    found = (read(run, axis_of(run)) for read in SOURCES.values())
    return next(filter(None, found), None)


def needed_losses(run: Run) -> LossHistory:
    """The same; CheckpointNotFoundError where none is recorded, or not where the checkpoints are."""
    found = read_losses(run)
    if found is None:
        what = f"{run.address}: no loss is recorded, so none of its checkpoints is the best"
        hint = f"looked for {', '.join(SOURCES)}; choose by step, for example {run.address}@last"
        raise CheckpointNotFoundError(run.path, what, hint=hint)
    if not ranked(run, found):
        what = f"{run.address}: the loss in {found.source} is not that of its checkpoints"
        recorded = f"recorded are {found.axis}s {found.points[0][0]} to {found.points[-1][0]}"
        raise CheckpointNotFoundError(run.path, what, hint=f"{recorded}; choose by step")
    return found


def ranked(run: Run, found: LossHistory) -> list[tuple[RunCheckpoint, float]]:
    """Checkpoints and their smoothed losses, the lowest first; of equal ones the later first.

    Those without a loss are left out.
    """
    known = [(one, loss_of(one, found)) for one in reversed(run.checkpoints)]
    finished = [(one, loss) for one, loss in known if loss is not None]
    return sorted(finished, key=lambda pair: pair[1])


def loss_of(one: RunCheckpoint, found: LossHistory) -> float | None:
    """The smoothed loss at a checkpoint."""
    count = one.epoch if found.axis == "epoch" else one.step
    return None if count is None else found.smoothed_at(count)


def _metrics(run: Run, axis: str) -> LossHistory | None:
    from lora_convert.storage.documents import read_lines

    path = os.path.join(run.path, "metrics.jsonl")
    if axis != "step" or not os.path.isfile(path):
        return None
    return history(path, axis, filter(None, (_point(line) for line in read_lines(path))))


def _trainer_state(run: Run, axis: str) -> LossHistory | None:
    from lora_convert.storage.documents import read_document

    for folder in (run.path, run.checkpoints[-1].path):
        path = os.path.join(folder, "trainer_state.json")
        if axis == "step" and os.path.isfile(path):
            document = read_document(path)
            lines = document.get("log_history") if isinstance(document, dict) else None
            if not isinstance(lines, list):
                raise CorruptCheckpointError(path, "has no log_history")
            return history(path, axis, filter(None, map(_point, lines)))
    return None


def _point(line: object) -> tuple[int, float] | None:
    """Step and loss of a record, where it has both."""
    step, loss = (line.get("step"), line.get("loss")) if isinstance(line, dict) else (None, None)
    if type(step) is not int or not isinstance(loss, int | float):
        return None
    try:
        return step, float(loss)
    except OverflowError:  # an integer beyond every float
        return step, math.inf


def _database(run: Run, axis: str) -> LossHistory | None:
    from lora_convert.storage.loss_database import read_metric

    path = os.path.join(run.path, "loss_log.db")
    if axis != "step" or not os.path.isfile(path):
        return None
    found = (history(path, axis, read_metric(path, key, MOST_POINTS + 1)) for key in LOG_KEYS)
    return next(filter(None, found), None)


def _event_files(run: Run, axis: str) -> LossHistory | None:
    """From the folder of event files that was written to last, seen from the run's last checkpoint."""
    from lora_convert.storage.event_files import scalars

    tags = STEP_TAGS if axis == "step" else EPOCH_TAGS
    written = run.checkpoints[-1].modified
    folders = sorted(_event_folders(run), key=lambda found: abs(found[1] - written))
    for folder, _, names in folders:
        curves: dict[str, Points] = {}
        for name in sorted(names, key=natural):
            path = os.path.join(folder, name)
            for scalar in _counted(path, scalars(path, tags)):
                curves.setdefault(scalar.tag, []).append((scalar.step, scalar.value))
        for tag in tags:
            if tag in curves:
                return history(folder, axis, curves[tag])
    return None


def _event_folders(run: Run) -> Iterator[tuple[str, float, list[str]]]:
    """Folders with event files, when the last of those was written, and their names."""
    passed = {os.path.basename(one.path) for one in run.checkpoints} | {*MADE_HERE}
    for log in layout_of(run.tool).logs:
        root = os.path.normpath(os.path.join(run.path, log))
        for folder, inner, files in os.walk(root):
            deep = os.path.relpath(folder, root).count(os.sep) + (folder != root) >= _DEPTH
            inner[:] = [] if deep else [name for name in inner if name not in passed]
            names = [name for name in files if ".tfevents." in name]
            paths = [os.path.join(folder, name) for name in names]
            if names and not any(map(os.path.islink, paths)):
                yield folder, max(map(os.path.getmtime, paths)), names


SOURCES: dict[str, Callable[[Run, str], LossHistory | None]] = {
    "metrics.jsonl": _metrics,
    "TensorBoard's event files": _event_files,
    "trainer_state.json": _trainer_state,
    "loss_log.db": _database,
}
"""Where losses are looked for, in this order; the key names it to people."""
