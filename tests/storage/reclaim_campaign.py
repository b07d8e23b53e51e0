"""Kill what takes files away, and back, at every writing call, and look at what is left.

    python -m tests.storage.reclaim_campaign --kills 1000 --seed 7

Points are drawn from all calls, moments (before, half-way, after) and scenarios; the same seed draws the
same points. After each kill everything is in its place or comes back with all that is in the trash; only
what was being removed for good may be gone, and then as a whole. The next run ends where one would have
that nobody killed, and leaves nothing torn and nothing temporary. Exit code 1 where any of that fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lora_convert.errors import LoraConvertError
from lora_convert.operations.addresses import run_at
from lora_convert.operations.compact_plan import plan_compact
from lora_convert.operations.pruning import Rules, plan_prune
from lora_convert.operations.restoring import plan_restore
from lora_convert.operations.sharing import TRASH
from lora_convert.operations.trashing import empty, trash_of, trashed, undo
from lora_convert.storage.leftovers import is_temporary
from lora_convert.storage.locks import LOCK
from lora_convert.storage.store import KNOWN
from tests.operations.run_examples import checkpoint, touch
from tests.pipelines import write_base, write_wrapped, write_wrapped_run
from tests.storage import kills
from tests.storage.forking import Moment, calls_of, killed_at

RULES = Rules(last=1, drop_resume_state=True, unused=True)


def _tree(run: Path) -> None:
    """A run with all that can be taken from it: links, hard links, states, pipelines."""
    for step in (100, 200, 300):
        checkpoint(run / f"checkpoints/checkpoint-{step}", "model.safetensors", "optimizer.bin")
        (run / f"checkpoints/checkpoint-{step}/link").symlink_to("../../precious")
    touch(run / "precious", "precious")
    store = run / "checkpoint_pipelines/.shared"
    for number in (1, 2):
        touch(store / (f"{number}" * 64), f"shared {number}")
    pipeline = touch(run / "checkpoint_pipelines/checkpoint-100/model_index.json", "{}").parent
    (pipeline / "weights").hardlink_to(store / ("1" * 64))
    touch(run / "checkpoint_loras/checkpoint-200_kohya.safetensors")


def _prune(rules: Rules) -> Callable[[Path], None]:
    def prune(run: Path) -> None:
        plan_prune(run_at(str(run)), rules).apply(force=True)

    return prune


def _pruned(run: Path) -> None:
    _tree(run)
    _prune(Rules(last=2))(run)
    _prune(Rules(last=1))(run)


def _without_parents(run: Path) -> None:
    _tree(run)
    _prune(RULES)(run)
    shutil.rmtree(run / "checkpoint_loras")
    shutil.rmtree(run / "checkpoint_pipelines")


def _undo_all(run: Path) -> None:
    while undo(str(run)):
        pass


def _empty_all(run: Path) -> None:
    empty(str(run), [one.item.id for one in trashed(str(run))])


def _wrapped(run: Path) -> None:
    """Whole wrapped models, of a base that the run names."""
    base = run.parent / "base"
    if not base.exists():
        write_base(base, large=40)
    write_wrapped_run(run, base, base, (500, 1000))


def _of_unknown_base(run: Path) -> None:
    _wrapped(run)
    touch(run / "run.json", '{"state": "finished"}')


def _compacted(run: Path) -> None:
    _wrapped(run)
    _compact(run)


def _trained_again(run: Path) -> None:
    """Compacted, and then training wrote one of the steps anew."""
    _compacted(run)
    write_wrapped(run / "checkpoints/checkpoint-500", run.parent / "base", 7)


def _compact(run: Path) -> None:
    for _ in plan_compact(str(run)).apply(force=True):
        pass


def _restore(run: Path) -> None:
    for _ in plan_restore(str(run)).apply():
        pass


def _all_whole(run: Path) -> None:
    """Finish what was begun, and bring everything back."""
    _compact(run)
    _restore(run)
    _undo_all(run)


class Scenario(NamedTuple):
    """A run, and a command that takes something from it, or gives it back."""

    name: str
    prepare: Callable[[Path], None]
    run: Callable[[Path], None]
    recover: Callable[[Path], None] = _undo_all
    """What brings back all that was there."""
    may_go: tuple[tuple[str, ...], ...] = ()
    """Beginnings of names that the command removes for good: those of a group all, or none of them."""


SCENARIOS = (
    Scenario("prune", _tree, _prune(RULES)),
    Scenario("prune again", _pruned, _prune(RULES)),
    Scenario("undo", _pruned, _undo_all),
    Scenario("undo where folders are gone", _without_parents, _undo_all),
    Scenario(
        "empty",
        _pruned,
        _empty_all,
        may_go=(
            ("checkpoints/checkpoint-100", "checkpoint_pipelines/checkpoint-100"),
            ("checkpoints/checkpoint-200", "checkpoint_loras/checkpoint-200"),
        ),
    ),
    Scenario("compact", _wrapped, _compact, _all_whole),
    Scenario("compact, base unknown", _of_unknown_base, _compact, _all_whole),
    Scenario("compact, trained again", _trained_again, _compact, _all_whole),
    Scenario("restore", _compacted, _restore, _all_whole),
)


class Campaign:
    """Kills in one temporary folder, and what they left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left: Counter[str] = Counter()
        self.problems: list[str] = []

    def points(self, work: Scenario) -> list[tuple[Scenario, int, Moment]]:
        """All points at which a scenario's command can be killed."""
        run = self.prepare(work)
        calls = calls_of(lambda: work.run(run))
        return [(work, call, moment) for call in range(1, calls + 1) for moment in kills.MOMENTS]

    def prepare(self, work: Scenario) -> Path:
        """The run as it is before the kill."""
        kept = self.root / "kept" / work.name
        if not kept.exists():
            work.prepare(kept)
        return self.copied(kept, "run")

    def copied(self, source: Path, name: str) -> Path:
        """A copy with times, links and hard links, so that it can be looked at twice."""
        target = self.root / name
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", source, target], check=True)
        return target

    def kill(self, work: Scenario, call: int, moment: Moment) -> None:
        """One kill, and all that must hold after it."""
        whole = self.prepare(work)
        work.run(whole)
        done, whole_trash = contents(whole), names_in_trash(whole)
        work.recover(before := self.prepare(work))
        everything = contents(before)
        run = self.prepare(work)
        where = f"{work.name}, killed {moment} call {call}"
        old = contents(run)
        if not killed_at(lambda: work.run(run), call, moment):
            self.problems.append(f"{where}: it was not killed")
        found = contents(run)
        state = "done" if found == done else "as before" if found == old else "between"
        self.left[f"{work.name}: {state}"] += 1
        try:
            work.recover(again := self.copied(run, "recovered"))
            self.check_all(where, work, everything, contents(again))
            work.run(run)
        except LoraConvertError as error:
            self.problems.append(f"{where}, run again: {error}")
            return
        self.check_clean(f"{where}, run again", run)
        if contents(run) != done or names_in_trash(run) != whole_trash:
            differing = contents(run).keys() ^ done.keys() or names_in_trash(run)
            self.problems.append(f"{where}, run again: something else: {sorted(differing)}")

    def check_all(
        self, where: str, work: Scenario, everything: dict[str, str], found: dict[str, str]
    ) -> None:
        """All is there, but for whole groups of what may go."""
        missing = {name for name in everything if found.get(name) != everything[name]}
        for group in work.may_go:
            own = {name for name in everything if name.startswith(group)}
            if own <= missing:
                missing -= own
        if missing or found.keys() - everything.keys():
            self.problems.append(f"{where}: lost or changed: {sorted(missing)}")

    def check_clean(self, where: str, run: Path) -> None:
        """Nothing torn and nothing temporary is there."""
        torn = trash_of(str(run)).foreign()
        names = [name for _, *some in os.walk(run) for names in some for name in names]
        left = [name for name in names if is_temporary(name) or name == LOCK]
        if torn or left:
            self.problems.append(f"{where}: {[*torn, *left]} stay")


def contents(run: Path) -> dict[str, str]:
    """All files and links of a run, its trash apart; folders that hold nothing do not count."""
    found = {}
    for folder, inner, names in os.walk(run):
        inner[:] = [name for name in inner if name != TRASH]
        for name in (*names, *inner):
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path.relative_to(run))] = f"-> {path.readlink()}"
            elif path.is_file() and name not in {LOCK, KNOWN}:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path.relative_to(run))] = digest
    return found


def names_in_trash(run: Path) -> list[str]:
    """What can be had back."""
    return sorted(name for one in trashed(str(run)) for name in one.item.present.values())


def main() -> int:
    """Run a campaign; returns the exit code."""
    told = "nothing lost, nothing torn, every next run ended where it should"
    return kills.run(__doc__, Campaign, SCENARIOS, told)


if __name__ == "__main__":
    sys.exit(main())
