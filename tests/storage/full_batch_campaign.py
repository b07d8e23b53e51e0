"""Fill the disk under batches, at many sizes, and look at what is left.

    python -m tests.storage.full_batch_campaign --sizes 40

A run lies on a disk in memory with room for nothing up to one and a half times what a batch makes of it; its
base lies on another. Every batch is done twice, the second time by a programme that cannot ask how much is
free, so that the disk fills under it. What fails says that there is no room; every pipeline is absent, old
or whole; once there is room the next batch makes the rest. Exit code 1 where any of that fails; 77 where no
disks can be made, which needs Linux and root.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from lora_convert.errors import NotEnoughSpaceError, OutputError
from lora_convert.operations.batch import Wanted, plan_batch, run_batch
from lora_convert.operations.pieces import Options
from lora_convert.operations.tasks import Outcome, do
from lora_convert.storage import atomic, linking
from lora_convert.storage.leftovers import is_temporary
from tests.pipelines import contents, write_base, write_run
from tests.storage.disks import MIB, cannot_mount, memory_disk
from tests.storage.full_disk_campaign import FILLER, fill

STEPS = (500, 1000, 1500)
DISK = 32 * MIB
NO_ROOM = {"NotEnoughSpaceError", "OutputError"}


@contextmanager
def blind() -> Iterator[None]:
    """Nobody can ask how much is free."""
    with patch.object(atomic, "free_space", lambda folder: None):
        yield


class Campaign:
    """Batches onto disks without room, and what they left."""

    def __init__(self, root: Path) -> None:
        self.base = write_base(root / "base")
        with memory_disk(DISK) as disk:
            run = write_run(disk / "run", self.base, STEPS)
            batch(run)
            self.whole = made(run)
            self.most = sum(file.stat().st_size for file in files(run))
        self.left: Counter[str] = Counter()
        self.problems: list[str] = []

    def attempt(self, free: int, *, sees: bool, old: bool) -> None:
        """One batch with so many bytes free, and all that must hold after it."""
        with memory_disk(DISK) as disk:
            run = write_run(disk / "run", self.base, STEPS)
            if old:
                batch(run, scale=0.5)
            before = made(run)
            fill(disk, free)
            where = f"{free} free, {'seen' if sees else 'blind'}, {'old there' if old else 'new'}"
            failures: list[str] = []
            try:
                if sees:
                    outcomes = batch(run)
                else:
                    with blind():
                        outcomes = batch(run)
                failures = [
                    one.fields["error"]["type"] for one in outcomes if one.status == "failed"
                ]
            except (NotEnoughSpaceError, OutputError) as error:
                failures = [type(error).__name__]
            self.left[f"{min(map(str, failures), default='written')}"] += 1
            if not set(failures) <= NO_ROOM:
                self.problems.append(f"{where}: {failures}")
            after = made(run)
            for folder in {*outputs(after), *outputs(before)}:
                choices = (of(self.whole, folder), of(before, folder))
                if of(after, folder) not in choices:
                    self.problems.append(f"{where}: {folder} is neither absent, old nor whole")
            if any(is_temporary(path.name) for path in run.rglob("*")):
                self.problems.append(f"{where}: temporaries stay")
            (disk / FILLER).unlink()
            if any(one.status == "failed" for one in batch(run)) or made(run) != self.whole:
                self.problems.append(f"{where}: with room again it is not made")


def batch(run: Path, scale: float = 1.0) -> list[Outcome]:
    """A batch, as a new process would do it."""
    linking._tried.clear()
    wanted = Wanted(Options(scale=scale))
    return [*run_batch(plan_batch([str(run)], wanted), lambda tasks: map(do, tasks))]


def files(run: Path) -> list[Path]:
    """What takes room, each once."""
    return [*{p.stat().st_ino: p for p in run.rglob("*") if p.is_file()}.values()]


def made(run: Path) -> dict[str, bytes]:
    """Pipelines, less what says where they were made."""
    return {
        name: data
        for name, data in contents(run).items()
        if name.startswith(("checkpoint_pipelines/checkpoint-", "final_pipeline/"))
        and not name.endswith("checkpoint_metadata.json")
    }


def outputs(found: dict[str, bytes]) -> set[str]:
    """Folders of pipelines."""
    return {
        name.split("/")[0] if name.startswith("final") else "/".join(name.split("/")[:2])
        for name in found
    }


def of(found: dict[str, bytes], folder: str) -> dict[str, bytes]:
    """The files of one."""
    return {name: data for name, data in found.items() if name.startswith(f"{folder}/")}


def main() -> int:
    """Run a campaign; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", type=int, default=40)
    options = parser.parse_args()
    if cannot_mount():
        print(f"no disks: {cannot_mount()}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder))
        for number in range(options.sizes):
            free = campaign.most * 3 * number // (2 * options.sizes)
            for sees in (True, False):
                for old in (True, False):
                    campaign.attempt(free, sees=sees, old=old)
    for state, count in sorted(campaign.left.items()):
        print(f"{count:6} {state}")
    if not campaign.left["written"] or len(campaign.left) == 1:
        campaign.problems.append("these disks show nothing")
    print("\n".join(campaign.problems) or "nothing half, nothing left behind, all made with room")
    return 1 if campaign.problems else 0


if __name__ == "__main__":
    sys.exit(main())
