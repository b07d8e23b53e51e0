"""Cut the power of a disk while it is written to, and after exit code 0, and look at what is left.

    python -m tests.storage.power_campaign --cuts 100 --seed 0

The disk is an ext4 image on a loop device. A cut is a copy of the image, without unmounting: what the
kernel had not yet brought to the disk is not in it. The copy is mounted, so that its journal is replayed.
Every other cut comes after exit code 0 of the real command line: there the output must be whole. The
others come at a drawn writing call: there the output is absent, old or whole, and the next run succeeds
and leaves no temporary.
Exit code 1 where any of that fails, or where the same cuts take nothing from safetensors' own `save_file`,
which would show that this campaign sees nothing. Linux and root only; exit code 77 elsewhere.

The drive itself is not modelled: it is taken to keep what it has confirmed, in the order it confirmed it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lora_convert
from tests.storage.disks import MIB, cannot_mount, image, mounted, sync_all
from tests.storage.forking import Moment, calls_of, killed_at
from tests.storage.kill_campaign import contents
from tests.storage.kills import MOMENTS
from tests.storage.making import peft_folder

CANNOT = 77
"""The exit code of what cannot be tested here."""
CONTROLS = 3
SIZE = 24 * MIB


class Case(NamedTuple):
    """A conversion, and what was under its name before: nothing, another's output, or its own, unsynced."""

    command: str
    output: str
    before: str = ""


CASES = (
    Case("to-kohya", "o.safetensors"),
    Case("to-kohya", "o.safetensors", "old"),
    Case("to-kohya", "o.safetensors", "same"),
    Case("to-kohya", "new/er/o.safetensors"),
    Case("to-diffusers", "new"),
    Case("to-peft", "o"),
    Case("to-peft", "o", "same"),
    Case("to-peft", "new/er/o"),
)


class Campaign:
    """Cuts of one disk, and what they left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.empty = image(root / "empty", SIZE)
        self.sources = {
            "new": peft_folder(root / "a", rank=8, width=4096),
            "old": peft_folder(root / "b", rank=8, width=4096, lora_alpha=16),
        }
        self.left: Counter[str] = Counter()
        self.problems: list[str] = []

    def whole(self, case: Case, source: str) -> dict[str, bytes]:
        """What a conversion leaves on a disk that is never cut."""
        place = self.root / f"{case.command}-{case.output.replace('/', '-')}-{source}"
        if not place.exists():
            self.convert(case._replace(before=""), place, source)
        return contents(place)

    def convert(self, case: Case, place: Path, source: str = "new") -> None:
        """The conversion of a case, in this process."""
        lora_convert.convert(
            str(self.sources[source]),
            case.command.removeprefix("to-"),
            output=str(place / case.output),
            force=case.before == "old",
        )

    def prepare(self, case: Case, place: Path) -> None:
        """What is on the disk before the run; only an old output is known to be safe."""
        if case.before == "old":
            self.convert(case._replace(before=""), place, "old")
        sync_all(place)
        if case.before == "same":
            for name, data in self.whole(case, "new").items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(data)

    def cut(self, case: Case, work: Callable[[Path], object]) -> Path:
        """The disk as it is found after its power was cut at the end of a work."""
        disk, found = self.root / "disk", self.root / "found"
        shutil.copyfile(self.empty, disk)
        with mounted(disk) as place:
            self.prepare(case, place)
            work(place)
            shutil.copyfile(disk, found)
        return found

    def after_success(self, case: Case) -> None:
        """Exit code 0, then the cut: the output is whole."""

        def run(place: Path) -> None:
            arguments = [case.command, str(self.sources["new"]), "-o", str(place / case.output)]
            arguments += ["--force"] if case.before == "old" else []
            command = [sys.executable, "-m", "lora_convert", *arguments]
            subprocess.run(command, check=True, capture_output=True)

        with mounted(self.cut(case, run)) as place:
            found = contents(place)
        whole = found == self.whole(case, "new")
        self.left["after exit 0: whole" if whole else "after exit 0: NOT WHOLE"] += 1
        if not whole:
            self.problems.append(f"{case} cut after exit 0: {_described(found)}")

    def on_the_way(self, case: Case, draw: random.Random) -> None:
        """The cut at a writing call: absent, old or whole, and the next run succeeds."""
        calls = self.calls(case)
        call, moment = draw.randint(1, calls), draw.choice(MOMENTS)
        disk = self.cut(case, lambda place: self.stop(case, place, call, moment))
        with mounted(disk) as place:
            found = contents(place)
            named = {name: data for name, data in found.items() if "lora-convert-tmp" not in name}
            right = {"absent": {}, "whole": self.whole(case, "new")}
            right |= {"old": self.whole(case, "old")} if case.before == "old" else {}
            state = next((name for name, data in right.items() if named == data), "BROKEN")
            if case.before == "same" and state == "BROKEN":
                state = "broken by another's unsynced writing"
            self.left[f"on the way: {state}"] += 1
            where = f"{case} cut {moment} call {call} of {calls}"
            if state == "BROKEN":
                self.problems.append(f"{where}: {_described(found)}")
            self.convert(case._replace(before="old"), place)
            if contents(place) != right["whole"]:
                self.problems.append(f"{where}: run again gave {_described(contents(place))}")

    def stop(self, case: Case, place: Path, call: int, moment: Moment) -> None:
        """Run a case until a call."""
        killed_at(lambda: self.convert(case, place), call, moment)

    def calls(self, case: Case) -> int:
        """The writing calls of a case."""
        with tempfile.TemporaryDirectory() as folder:
            self.prepare(case, Path(folder))
            return calls_of(lambda: self.convert(case, Path(folder)))

    def control(self) -> None:
        """The same cut after a library's own writing: it is expected to lose the file."""
        case = Case("to-kohya", "o.safetensors")
        data = self.whole(case, "new")["o.safetensors"]

        def save(place: Path) -> None:
            code = (
                "import sys; from safetensors.numpy import load_file, save_file;"
                "save_file(load_file(sys.argv[1]), sys.argv[2])"
            )
            given = self.root / "given.safetensors"
            given.write_bytes(data)
            command = [sys.executable, "-c", code, str(given), str(place / "o.safetensors")]
            subprocess.run(command, check=True, capture_output=True)

        with mounted(self.cut(case, save)) as place:
            kept = len(contents(place).get("o.safetensors", b"")) == len(data)
        self.left["control: kept" if kept else "control: lost"] += 1


def _described(found: dict[str, bytes]) -> str:
    return str({name: len(data) for name, data in found.items()})


def main() -> int:
    """Run a campaign; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if cannot_mount():
        print(f"not tested: {cannot_mount()}")
        return CANNOT
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder))
        draw = random.Random(options.seed)
        for number in range(options.cuts):
            case = CASES[number // 2 % len(CASES)]
            if number % 2:
                campaign.on_the_way(case, draw)
            else:
                campaign.after_success(case)
        for _ in range(CONTROLS):
            campaign.control()
    if not campaign.left["control: lost"]:
        campaign.problems.append("the control lost nothing: these cuts show nothing")
    print(f"{options.cuts} cuts of {len(CASES)} cases, and {CONTROLS} controls")
    for state, count in sorted(campaign.left.items()):
        print(f"{count:6} {state}")
    print("\n".join(campaign.problems) or "nothing lost after exit 0, nothing partial before")
    return 1 if campaign.problems else 0


if __name__ == "__main__":
    sys.exit(main())
