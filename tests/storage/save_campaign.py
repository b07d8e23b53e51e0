"""Kill a training loop's saves at every writing call, and load what is left.

    python -m tests.storage.save_campaign --kills 1000 --seed 0

Points are drawn from all calls, moments (before, half-way, after) and ways of saving; the same seed draws the
same points. After each kill the checkpoint is absent where there was none, the old one, or the new one: it
loads, and every tensor, every state and the step are those of one of the two. The next save succeeds and
leaves nothing but its checkpoint. Exit code 1 where any of that fails.
"""

from __future__ import annotations

import copy
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

import lora_convert as lc
from lora_convert.errors import LoraConvertError
from lora_convert.storage.leftovers import is_temporary
from tests.storage import kills
from tests.storage.forking import Moment, calls_of, killed_at


class Work(NamedTuple):
    """A way of saving, to a new name or over an old checkpoint."""

    name: str
    replace: bool
    base: bool = False


WORKS = (
    Work("latest", False),
    Work("latest", True),
    Work("whole", True, base=True),
    Work("latest.pth", False),
    Work("latest.pth", True),
)


class Trained(NamedTuple):
    """A model and its optimizer after some steps."""

    model: nn.Module
    optimizer: Any
    step: int

    def bits(self) -> tuple[object, ...]:
        """All that a checkpoint is to keep."""
        state = [*self.model.state_dict().values()]
        moments = self.optimizer.state_dict()["state"].values()
        tensors = [*state, *(tensor for moment in moments for tensor in moment.values())]
        return (self.step, *(tensor.numpy().tobytes() for tensor in tensors))


def trained(steps: int) -> Trained:
    torch.manual_seed(0)
    model = get_peft_model(nn.Sequential(nn.Linear(64, 64)), LoraConfig(r=8, target_modules=["0"]))
    model.add_adapter("style", LoraConfig(r=4, target_modules=["0"]))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(2, 64)).square().mean().backward()
        optimizer.step()
    return Trained(model, optimizer, steps)


class Campaign:
    """Kills in one temporary folder, and what they left."""

    def __init__(self, root: Path) -> None:
        self.root = root / "run"
        self.old, self.new = trained(1), trained(2)
        self.left: Counter[str] = Counter()
        self.problems: list[str] = []

    def save(self, work: Work, what: Trained) -> None:
        """The save of a work."""
        given = {"optimizer": what.optimizer, "step": what.step, "base": work.base}
        lc.save_checkpoint(what.model, self.root, tag=work.name, **given)

    def prepare(self, work: Work) -> None:
        """The folder as it is before the kill."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        if work.replace:
            self.save(work, self.old)

    def points(self, work: Work) -> list[tuple[Work, int, Moment]]:
        """All points at which a work can be killed."""
        self.prepare(work)
        calls = calls_of(lambda: self.save(work, self.new))
        return [(work, call, moment) for call in range(1, calls + 1) for moment in kills.MOMENTS]

    def kill(self, work: Work, call: int, moment: Moment) -> None:
        """One kill, and all that must hold after it."""
        self.prepare(work)
        where = f"{work.name}, killed {moment} call {call}"
        if not killed_at(lambda: self.save(work, self.new), call, moment):
            self.problems.append(f"{where}: it was not killed")
        state = self.found(work)
        self.left[f"{work.name}: {state}"] += 1
        if state not in ({"old", "new"} if work.replace else {"absent", "new"}):
            self.problems.append(f"{where}: {state}")
        self.save(work, self.new)
        left = [path.name for path in self.root.iterdir() if is_temporary(path.name)]
        if self.found(work) != "new" or left:
            self.problems.append(f"{where}, saved again: {self.found(work)}, {left}")

    def found(self, work: Work) -> str:
        """What is under the name of the checkpoint."""
        path = self.root / work.name
        if not os.path.lexists(path):
            return "absent"
        empty = copy.deepcopy(self.old)
        with torch.no_grad():
            for name, parameter in empty.model.named_parameters():
                if ".lora_" in name:
                    parameter.fill_(7)
        try:
            report = lc.load_checkpoint(path, empty.model, optimizer=empty.optimizer)
        except LoraConvertError as error:
            return f"does not load: {error}"
        loaded = empty._replace(step=report.step or 0).bits()
        return {self.old.bits(): "old", self.new.bits(): "new"}.get(loaded, "a mixture")


def main() -> int:
    """Run a campaign; returns the exit code."""
    told = "the old checkpoint or the new one, whole; every next save succeeded"
    return kills.run(__doc__, Campaign, WORKS, told)


if __name__ == "__main__":
    sys.exit(main())
