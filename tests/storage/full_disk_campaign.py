"""Fill the disk under conversions, at many sizes, and look at what is left.

    python -m tests.storage.full_disk_campaign --sizes 40

Each conversion runs on disks that hold between nothing and twice its output: in memory, and ext4 on a loop
device. Every run is done twice, the second time by a programme that cannot ask how much is free, as on disks
that do not tell, so that writing begins and the disk fills under it. Then it runs under limits on the size of
a file. Without room there is a typed error with exit code 1, nothing under the name, no temporary, and
with --force the old file as it was; with room the output is whole. Exit code 1 where any of that fails.
Disks need Linux and root; without them only the limits are tested, and that is said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from tests.storage.disks import MIB, cannot_mount, image, memory_disk, mounted
from tests.storage.kill_campaign import contents
from tests.storage.making import peft_folder

PAGE = 4096


class Case(NamedTuple):
    """A conversion, to a new name or over an old file."""

    command: str
    output: str
    replace: bool = False


CASES = (
    Case("to-kohya", "o.safetensors"),
    Case("to-kohya", "o.safetensors", replace=True),
    Case("to-diffusers", "new/er"),
    Case("to-peft", "o"),
    Case("to-peft", "new/er/o"),
)
FILLER = "filler"
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
BLIND = "from lora_convert.storage import atomic; atomic.free_space = lambda folder: None; "


class Campaign:
    """Conversions onto disks without room, and what they left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = peft_folder(root / "a", rank=4, width=4096)
        self.old = peft_folder(root / "b", rank=1, width=64)
        self.left: Counter[str] = Counter()
        self.problems: list[str] = []

    def run(
        self, case: Case, place: Path, *, source: Path | None = None, before: str = ""
    ) -> tuple[int, str]:
        """The exit code of a case, and the type of its error; `before` is code that is run first."""
        arguments = [case.command, str(source or self.source), "-o", str(place / case.output)]
        arguments += ["--json", *(["--force"] if case.replace else [])]
        code = f"{before}import sys; from lora_convert.cli import main; main(sys.argv[1:])"
        command = [sys.executable, "-B", "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            return done.returncode, f"no JSON: {done.stdout} {done.stderr}"
        return done.returncode, answer.get("error", {}).get("type", "")

    def whole(self, case: Case) -> dict[str, bytes]:
        """What a case leaves where there is room."""
        place = self.root / f"{case.command}-{case.output.replace('/', '-')}"
        if not place.exists():
            self.run(case._replace(replace=False), place)
        return contents(place)

    def attempt(
        self, case: Case, place: Path, where: str, *, free: int | None = None, before: str = ""
    ) -> None:
        """One run, and all that must hold after it; `free` is what is left of the disk before it."""
        if case.replace:
            self.run(case._replace(replace=False), place, source=self.old)
        if free is not None:
            fill(place, free)
        (place / FILLER).touch()
        found = contents(place)
        code, error = self.run(case, place, before=before)
        after = contents(place)
        if code == 0:
            good = {n: d for n, d in after.items() if n != FILLER} == self.whole(case)
            state = "written"
        else:
            good = after == found and code == 1
            good &= error in {"NotEnoughSpaceError", "OutputError"}
            state = error
        self.left[f"{where.split(maxsplit=1)[0]}: {state}"] += 1
        if not good:
            self.problems.append(
                f"{case} {where}: exit {code}, {error}, {sorted(after.keys() ^ found.keys())}"
            )


def fill(place: Path, free: int) -> None:
    """Fill a disk until about `free` bytes are left."""
    status = os.statvfs(place)
    taken = max(0, status.f_bavail * status.f_frsize - free)
    with (place / FILLER).open("wb") as file:
        try:
            for at in range(0, taken, PAGE):
                file.write(bytes(min(PAGE, taken - at)))
                file.flush()
        except OSError:  # full before, since files need more than their bytes
            pass


def disks(root: Path) -> Iterator[tuple[str, AbstractContextManager[Path]]]:
    """A new disk of each kind."""
    empty = root / "empty"
    if not empty.exists():
        image(empty, 8 * MIB)
    for kind in ("", "blind-"):
        yield f"{kind}memory", memory_disk(4 * MIB)
        shutil.copyfile(empty, root / "disk")
        yield f"{kind}ext4", mounted(root / "disk")


def main() -> int:
    """Run a campaign; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", type=int, default=40, help="sizes for each case and kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder))
        for case in CASES:
            most = 2 * sum(map(len, campaign.whole(case).values()))
            sizes = [most * step // options.sizes for step in range(options.sizes)]
            for number, size in enumerate(sizes):
                place = Path(
                    folder, f"limit-{number}-{case.command}-{case.replace}-{len(case.output)}"
                )
                place.mkdir()
                campaign.attempt(case, place, f"limit of {size}", before=LIMITED.format(size))
                if cannot_mount():
                    continue
                for kind, disk in disks(Path(folder)):
                    with disk as mount:
                        before = BLIND if kind.startswith("blind") else ""
                        campaign.attempt(
                            case, mount, f"{kind} {size} free", free=size, before=before
                        )
    if cannot_mount():
        print(f"limits only, no disks: {cannot_mount()}")
    for state, count in sorted(campaign.left.items()):
        print(f"{count:6} {state}")
    if not any(state.endswith("written") for state in campaign.left):
        campaign.problems.append("nothing was ever written: these disks show nothing")
    print("\n".join(campaign.problems) or "nothing partial, nothing left behind, old files kept")
    return 1 if campaign.problems else 0


if __name__ == "__main__":
    sys.exit(main())
