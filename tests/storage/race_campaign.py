"""Races of writers to one name, none of whom may replace, and look at who won.

    python -m tests.storage.race_campaign --races 1000

In each race two writers of one content and two of another, in processes of their own, and in every other
race a stranger that makes a file or a folder of that name by itself, begin at one moment. Races take
turns in what is written (file, folder) and in how the system gives names (a call that replaces nothing, or
links where it has none). Exactly one gets the name; what it wrote is there afterwards, whole; the others
are told; no temporary stays. A stranger's empty folder may be written into, but stays the same folder. Exit
code 1 where any of that fails.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import lora_convert
from lora_convert.errors import DestinationExistsError
from lora_convert.storage import renaming
from tests.storage.forking import together
from tests.storage.kill_campaign import contents
from tests.storage.making import peft_folder

KINDS = tuple(product(("kohya", "peft"), ("call", "link"), (False, True)))


class Campaign:
    """Races in one folder, and what they left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sources = [peft_folder(root / f"a{alpha}", lora_alpha=alpha) for alpha in (4, 8)]
        self.said: Counter[str] = Counter()
        self.problems: list[str] = []

    def writer(self, source: Path, to: str, how: str, out: Path) -> Callable[[], str]:
        """A run that tells its outcome."""

        def work() -> str:
            if how == "link":
                renaming._rename_exclusively = lambda path, target: errno.ENOSYS
            try:
                status = lora_convert.convert(str(source), to, output=str(out)).status
            except DestinationExistsError:
                return "exists"
            return f"{status} {source.name}"

        return work

    def race(self, number: int, to: str, how: str, *, stranger: bool) -> None:
        """One race, and all that must hold after it."""
        out = self.root / f"race-{number}" / ("o" if to == "peft" else "o.safetensors")
        out.parent.mkdir()
        writers = [self.writer(source, to, how, out) for source in (*self.sources, *self.sources)]
        said = together([*writers, *([_stranger(to, out, number)] if stranger else [])])
        self.said.update(word.split()[0] for word in said)
        where = f"race {number} ({to}, {how}, {'a stranger' if stranger else 'writers only'})"
        made = [word.split()[1] for word in said if word.startswith("made")]
        winners = [word.split()[1] for word in said if word.startswith("written")]
        if made and made != [str(out.stat().st_ino)]:
            self.problems.append(f"{where}: the stranger's was replaced: {said}")
        if made and to == "kohya":
            right = not winners and out.read_bytes() == b""
        elif made and not winners:  # it came between the files of a writer, who was told
            right = "exists" in said
        else:
            right = len(winners) == 1 and contents(out.parent) == self.whole(to, winners[0], out)
        if not right or os.listdir(out.parent) != [out.name]:
            self.problems.append(f"{where}: {said}, {sorted(contents(out.parent))}")

    def whole(self, to: str, winner: str, out: Path) -> dict[str, bytes]:
        """What the run of a source leaves that has no rivals."""
        place = self.root / f"{to}-{winner}"
        if not place.exists():
            lora_convert.convert(str(self.root / winner), to, output=str(place / out.name))
        return contents(place)


def _stranger(to: str, out: Path, number: int) -> Callable[[], str]:
    """Another programme that makes an empty file or folder; tells its inode."""

    def work() -> str:
        for _ in range(number * 37 % 20_000):  # about as long as a run takes to come to its rename
            os.path.lexists(out.parent)
        try:
            if to == "peft":
                out.mkdir()
            else:
                os.close(os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return "exists"
        return f"made {out.stat().st_ino}"

    return work


def main() -> int:
    """Run a campaign; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--races", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder))
        for number in range(options.races):
            to, how, stranger = KINDS[number % len(KINDS)]
            campaign.race(number, to, how, stranger=stranger)
    print(f"{options.races} races of {len(KINDS)} kinds")
    for word, count in sorted(campaign.said.items()):
        print(f"{count:6} {word}")
    print("\n".join(campaign.problems) or "one winner each, nothing lost, nothing left behind")
    return 1 if campaign.problems else 0


if __name__ == "__main__":
    sys.exit(main())
