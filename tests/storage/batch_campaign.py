"""Kill batches at every writing call, and look at what is left.

    python -m tests.storage.batch_campaign --kills 1000 --seed 0

Points are drawn from all calls, moments (before, half-way, after) and cases; the same seed draws the same
points. After each kill every pipeline and LoRA file is absent, what it was, or whole; every entry of the
store is what its name says; the journal has all it had; checkpoints and base are as they were. The next
batch makes what is missing, leaves alone what is whole, and leaves nothing but its results. Exit code 1
where any of that fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors.numpy import load_file

from lora_convert.operations.batch import JOURNAL, Wanted, plan_batch, run_batch
from lora_convert.operations.pieces import Options
from lora_convert.operations.tasks import Outcome, do
from lora_convert.storage import hashes, journal, linking
from lora_convert.storage.hashes import is_hash
from lora_convert.storage.leftovers import is_temporary
from lora_convert.storage.locks import LOCK
from tests.pipelines import WEIGHTS, contents, tree, write_base, write_run
from tests.storage import kills, states
from tests.storage.forking import Moment, calls_of, killed_at

MADE = ("checkpoint_pipelines", "checkpoint_loras", "final_pipeline")
"""Folders of a run that a batch makes."""
LORAS = Wanted(Options(), formats=("kohya",))


class Case(NamedTuple):
    """A batch, and those that were run before it."""

    name: str
    wanted: Wanted
    before: tuple[Wanted, ...] = ()


CASES = (
    Case("nothing there", LORAS),
    Case("old pipelines there", LORAS, (Wanted(Options(scale=0.5)),)),
    Case("old pipelines of another layout", Wanted(Options()), (Wanted(Options(layout="full")),)),
    Case("copies", Wanted(Options(link="copy", dtype="fp16"))),
)


class Campaign:
    """Kills in one temporary folder, and what they left."""

    def __init__(self, root: Path) -> None:
        self.kept = root / "kept"
        self.base = write_base(root / "base")
        self.run = write_run(root / "run", self.base, (500, 1000))
        self.sources = states.state(root)
        self.root = root
        self.left: Counter[str] = Counter()
        self.problems: list[str] = []
        self.wholes: dict[str, dict[str, bytes]] = {}

    def batch(self, wanted: Wanted) -> list[Outcome]:
        """A batch of the run, as a new process would do it."""
        linking._tried.clear()
        return [*run_batch(plan_batch([str(self.run)], wanted), lambda tasks: map(do, tasks))]

    def clear(self) -> None:
        for name in MADE:
            shutil.rmtree(self.run / name, ignore_errors=True)

    def prepare(self, case: Case) -> dict[str, bytes]:
        """The run as it is before the kill; returns what has been made of it."""
        self.clear()
        kept = self.kept / case.name
        if not kept.exists():
            for wanted in case.before:
                self.batch(wanted)
            kept.mkdir(parents=True)
            for name in MADE:
                if (self.run / name).exists():
                    _copy(self.run / name, kept / name)
        self.clear()
        for name in MADE:
            if (kept / name).exists():
                _copy(kept / name, self.run / name)
        return self.made()

    def made(self) -> dict[str, bytes]:
        """What batches made, without what is theirs alone."""
        return {
            name: data
            for name, data in contents(self.run).items()
            if name.startswith(MADE)
            and not any(is_temporary(part) or part.startswith(".") for part in name.split("/"))
        }

    def whole(self, case: Case) -> dict[str, bytes]:
        """What a batch leaves that nothing stops; it can be read."""
        if case.name not in self.wholes:
            self.prepare(case)
            self.batch(case.wanted)
            self.wholes[case.name] = self.made()
            for name in self.wholes[case.name]:
                if name.endswith("model_index.json"):
                    check_readable((self.run / name).parent)
        return self.wholes[case.name]

    def points(self, case: Case) -> list[tuple[Case, int, Moment]]:
        """All points at which a case can be killed."""
        self.whole(case)
        self.prepare(case)
        calls = calls_of(lambda: self.batch(case.wanted))
        return [(case, call, moment) for call in range(1, calls + 1) for moment in kills.MOMENTS]

    def kill(self, case: Case, call: int, moment: Moment) -> None:
        """One kill, and all that must hold after it."""
        whole, old = self.whole(case), self.prepare(case)
        where = f"{case.name}, killed {moment} call {call}"
        lines = self.journal()
        if not killed_at(lambda: self.batch(case.wanted), call, moment):
            self.problems.append(f"{where}: it was not killed")
        found = self.made()
        done = {folder for folder in _outputs(whole) if _of(found, folder) == _of(whole, folder)}
        for folder in _outputs({**whole, **old, **found}) - done:
            if _of(found, folder) not in ({}, _of(old, folder)):
                self.problems.append(f"{where}: {folder} is neither absent, old nor whole")
        self.left[f"{case.name}: {len(done)} of {len(_outputs(whole))} made"] += 1
        self.check(where, lines)
        before = tree(self.run)
        failed = [one.detail for one in self.batch(case.wanted) if one.status == "failed"]
        after = tree(self.run)
        if failed or self.made() != whole:
            self.problems.append(f"{where}, run again: {failed or 'something else was made'}")
        for name in whole:
            if any(_is_in(name, folder) for folder in done) and before[name] != after[name]:
                self.problems.append(f"{where}, run again: {name} was whole and made again")
        names = [name for folder, *some in os.walk(self.run) for names in some for name in names]
        if any(is_temporary(name) or name == LOCK for name in names):
            self.problems.append(f"{where}, run again: {sorted(filter(is_temporary, names))} stay")
        self.check(where, lines)

    def journal(self) -> Mapping[str, journal.Entry]:
        return journal.read(str(self.run / MADE[0] / JOURNAL))

    def check(self, where: str, lines: Mapping[str, journal.Entry]) -> None:
        """Journal, store and sources."""
        if not lines.keys() <= self.journal().keys():
            self.problems.append(f"{where}: the journal forgot")
        for path in (self.run / MADE[0]).glob(".shared/*"):
            if is_hash(path.name) and hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
                self.problems.append(f"{where}: an entry of the store is not what its name says")
        found = states.state(self.root)
        if any(found.get(name) != state for name, state in self.sources.items()):
            self.problems.append(f"{where}: checkpoints or base are changed")


def _copy(source: Path, target: Path) -> None:
    """A folder with its times, and with what is hard-linked in it hard-linked again."""
    seen: dict[int, str] = {}

    def copy(one: str, other: str) -> None:
        first = seen.setdefault(os.stat(one).st_ino, other)
        shutil.copy2(one, other) if first == other else os.link(first, other)

    shutil.copytree(source, target, copy_function=copy)


def _outputs(made: Mapping[str, bytes]) -> set[str]:
    """Folders of pipelines, and LoRA files."""
    deep = {MADE[0]: 2, MADE[1]: 2, MADE[2]: 1}
    return {"/".join(name.split("/")[: deep[name.split("/")[0]]]) for name in made}


def _is_in(name: str, output: str) -> bool:
    return name == output or name.startswith(f"{output}/")


def _of(made: Mapping[str, bytes], output: str) -> dict[str, bytes]:
    return {name: data for name, data in made.items() if _is_in(name, output)}


def check_readable(pipeline: Path) -> None:
    """Every component's weights are there, in one file or as its index says."""
    for component, file in WEIGHTS.items():
        index = pipeline / component / f"{file}.index.json"
        if not index.exists():
            assert load_file(pipeline / component / file)
            continue
        places: dict[str, str] = json.loads(index.read_text())["weight_map"]
        for shard in set(places.values()):
            held = {name for name, place in places.items() if place == shard}
            assert load_file(pipeline / component / shard).keys() == held


def main() -> int:
    """Run a campaign; returns the exit code."""
    hashes._SETTLED = 0
    told = "nothing partial, nothing changed, nothing made twice, every next batch succeeded"
    return kills.run(__doc__, Campaign, CASES, told)


if __name__ == "__main__":
    sys.exit(main())
