"""Kill conversions at every writing call, and look at what is left.

    python -m tests.storage.kill_campaign --kills 200 --seed 0

Points are drawn from all calls, moments (before, half-way, after) and cases; the same seed draws the
same points. After each kill the output is absent, what it was, or whole; the source is as it was; and
the next run succeeds and leaves no temporary. Exit code 1 where any of that fails.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import lora_convert
from tests.storage import kills, states
from tests.storage.forking import Moment, calls_of, killed_at
from tests.storage.making import peft_folder


class Case(NamedTuple):
    """A conversion, to a new name or over an old file."""

    to: str
    output: str
    replace: bool


CASES = (
    Case("diffusers", "o.safetensors", False),
    Case("diffusers", "o.safetensors", True),
    Case("kohya", "o.safetensors", False),
    Case("kohya", "o.safetensors", True),
    Case("peft", "o", False),
    Case("accelerate", "o", False),
)


class Campaign:
    """Kills in one temporary folder, and what they left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = peft_folder(root / "a", width=512)
        self.other = peft_folder(root / "b", width=512, lora_alpha=16)
        self.before = states.state(self.source)
        self.left: Counter[str] = Counter()
        self.problems: list[str] = []

    def convert(self, case: Case, source: Path) -> None:
        """The conversion of a case."""
        output = str(self.root / "out" / case.output)
        lora_convert.convert(str(source), case.to, output=output, force=case.replace)

    def prepare(self, case: Case) -> dict[str, bytes]:
        """A folder as it is before the kill; returns what is in it."""
        shutil.rmtree(self.root / "out", ignore_errors=True)
        (self.root / "out").mkdir()
        if case.replace:
            self.convert(case, self.other)
        return contents(self.root / "out")

    def points(self, case: Case) -> list[tuple[Case, int, Moment]]:
        """All points at which a case can be killed."""
        self.prepare(case)
        calls = calls_of(lambda: self.convert(case, self.source))
        return [(case, call, moment) for call in range(1, calls + 1) for moment in kills.MOMENTS]

    def kill(self, case: Case, call: int, moment: Moment) -> None:
        """One kill, and all that must hold after it."""
        self.prepare(case)
        self.convert(case._replace(replace=True) if case.replace else case, self.source)
        whole = contents(self.root / "out")
        old = self.prepare(case)
        if not killed_at(lambda: self.convert(case, self.source), call, moment):
            self.problems.append(f"{case} was not killed at {call} {moment}")
        found = contents(self.root / "out")
        named = {name: data for name, data in found.items() if "lora-convert-tmp" not in name}
        temporary = len(found) > len(named)
        state = "whole" if named == whole else "old" if old and named == old else "absent"
        if named not in (whole, old):
            self.problems.append(f"{case} killed {moment} call {call}: {sorted(named)}")
        self.left[f"{state}, with a temporary" if temporary else state] += 1
        self.convert(case, self.source)
        if contents(self.root / "out") != whole:
            self.problems.append(f"{case} run again after {moment} call {call} gave something else")
        if states.state(self.source) != self.before:
            self.problems.append(f"{case} killed {moment} call {call} changed its source")


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder, with their bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main() -> int:
    """Run a campaign; returns the exit code."""
    told = "nothing partial, no source changed, every next run succeeded"
    return kills.run(__doc__, Campaign, CASES, told, kills=200)


if __name__ == "__main__":
    sys.exit(main())
