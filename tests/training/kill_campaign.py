"""Kill trainings at every writing call of a save, an export or a beginning, and go on.

    python -m tests.training.kill_campaign --kills 300 --seed 0

A run of two steps is gone on with to four: a checkpoint each step, of which one is kept, then the result.
It is killed at a drawn call. Going on then ends with the same bits of weights and optimizer, the same line
of metrics for each step, one result, and nothing temporary. Exit code 1 where any of that fails.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import torch

import lora_convert as lc
from lora_convert_train.run_folder import RunFolder
from lora_convert_train.settings import Settings
from lora_convert_train.training import train
from tests.oracles.tiny_pipelines import save_pipeline
from tests.storage import kills
from tests.storage.forking import Moment, calls_of, killed_at
from tests.training.photos import write_photos
from tests.training.reading import bits, metrics

_STEPS = 4
WORKS = ("flux", "sdxl with text encoders")


class Campaign:
    """Kills in one temporary folder, and what they left."""

    def __init__(self, root: Path) -> None:
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")
        torch.set_num_threads(1)
        self.root = root
        self.photos = write_photos(root / "photos")
        self.left: Counter[str] = Counter()
        self.problems: list[str] = []
        self._known: dict[str, tuple[object, object]] = {}

    def asked(self, work: str, run: Path, steps: int = _STEPS) -> Settings:
        """The settings of a work."""
        name, _, text = work.partition(" with ")
        base = self.root / name
        if not base.exists():
            save_pipeline(name, base)
        return Settings(
            pretrained_model_name_or_path=str(base),
            train_data_dir=str(self.photos),
            output_dir=str(run),
            resolution=32,
            bucket_step=8,
            max_train_steps=steps,
            save_steps=1,
            keep_checkpoints=1,
            learning_rate=1e-3,
            mixed_precision="no",
            device="cpu",
            lora_rank=2,
            train_text_encoder=bool(text),
        )

    def prepare(self, work: str) -> Path:
        """A run of two steps, in place of what is there; the whole one is made once."""
        begun, whole, run = (self.root / f"{work} {name}" for name in ("begun", "whole", "run"))
        if work not in self._known:
            train(self.asked(work, begun, 2))
            train(self.asked(work, whole))
            self._known[work] = bits(whole, _STEPS), metrics(whole)
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(begun, run)
        return run

    def go_on(self, work: str, run: Path) -> None:
        """Train to the end."""
        train(self.asked(work, run), resume=True)

    def points(self, work: str) -> list[tuple[str, int, Moment]]:
        """All points at which going on can be killed."""
        run = self.prepare(work)
        calls = calls_of(lambda: self.go_on(work, run))
        return [(work, call, moment) for call in range(1, calls + 1) for moment in kills.MOMENTS]

    def kill(self, work: str, call: int, moment: Moment) -> None:
        """One kill, and all that must hold after it."""
        run = self.prepare(work)
        where = f"{work}, killed {moment} call {call}"
        if not killed_at(lambda: self.go_on(work, run), call, moment):
            self.problems.append(f"{where}: it was not killed")
        steps = RunFolder(str(run)).steps()
        self.left[f"{work}: checkpoints of {', '.join(map(str, steps))}"] += 1
        try:
            self.go_on(work, run)
        except Exception as error:  # noqa: BLE001 - told, and the others go on
            self.problems.append(f"{where}: {type(error).__name__}: {error}")
            return
        if (bits(run, _STEPS), metrics(run)) != self._known[work]:
            self.problems.append(f"{where}: other bits or metrics")
        if lc.inspect(run / "lora_weights").unexplained:
            self.problems.append(f"{where}: the result is not whole")
        hidden = [str(path.relative_to(run)) for path in run.rglob(".*")]
        if hidden or RunFolder(str(run)).steps() != [_STEPS]:
            self.problems.append(f"{where}: left over: {hidden} {RunFolder(str(run)).steps()}")


def main() -> int:
    """Run a campaign; returns the exit code."""
    told = "every run went on to the same bits, and nothing was left over"
    return kills.run(__doc__, Campaign, WORKS, told, kills=300)


if __name__ == "__main__":
    sys.exit(main())
