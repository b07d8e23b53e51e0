"""All that can be said of a run without opening weights."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import LoraConvertError
from lora_convert.operations.losses import loss_of, ranked, read_losses
from lora_convert.operations.run_listing import conversions_beside, sizes_by_checkpoint, sizes_of

if TYPE_CHECKING:
    from lora_convert.operations.losses import LossHistory
    from lora_convert.operations.run_listing import Sizes
    from lora_convert.operations.runs import Run, RunCheckpoint


class CheckpointReport(NamedTuple):
    """One checkpoint, and what is known about it."""

    checkpoint: RunCheckpoint
    loss: float | None
    """Smoothed, see `LossHistory.smoothed_at`."""
    sizes: Sizes
    converted: tuple[str, ...]
    """Formats it was converted to, and ``pipeline``."""


class RunReport(NamedTuple):
    """A run, and what is known about it."""

    run: Run
    losses: LossHistory | None
    loss_problem: str
    """Why losses that are recorded could not be read."""
    best: RunCheckpoint | None
    sizes: Sizes
    checkpoints: tuple[CheckpointReport, ...]

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {
            "run": self.run.address,
            "tool": self.run.tool,
            "base_model": self.run.base_model,
            "final": self.run.final,
            "loss_source": self.losses.source if self.losses else None,
            "best": self.best.path if self.best else None,
            "size": self.sizes.total,
            "sizes": self.sizes._asdict(),
            "checkpoints": [
                {
                    "path": one.checkpoint.path,
                    "step": one.checkpoint.step,
                    "epoch": one.checkpoint.epoch,
                    "modified": instant(one.checkpoint.modified),
                    "loss": one.loss if one.loss != math.inf else None,
                    "size": one.sizes.total,
                    "converted": list(one.converted),
                }
                for one in self.checkpoints
            ],
        }


def report_on(run: Run) -> RunReport:
    """What is known about a run. Losses that cannot be read are a sentence, and no error."""
    losses, problem = None, ""
    try:
        losses = read_losses(run)
    except LoraConvertError as error:
        problem = error.what
    sizes = sizes_by_checkpoint(run)
    made = conversions_beside(run)
    checkpoints = tuple(
        CheckpointReport(
            one, loss_of(one, losses) if losses else None, sizes[one.path], made[one.path]
        )
        for one in run.checkpoints
    )
    best = [one for one, _ in ranked(run, losses)[:1]] if losses else []
    return RunReport(run, losses, problem, best[0] if best else None, sizes_of(run), checkpoints)


def summary_of(run: Run) -> dict[str, Any]:
    """A run in a line: the documented fields."""
    last = run.checkpoints[-1]
    return {
        "run": run.address,
        "tool": run.tool,
        "count": len(run.checkpoints),
        "last_step": last.step,
        "last_epoch": last.epoch,
        "modified": instant(last.modified),
        "size": sizes_of(run).total,
    }


def instant(seconds: float) -> str:
    """A time since 1970, in UTC and ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
