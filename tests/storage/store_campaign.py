"""Kill what shares, replaces and records at every writing call, and look at what is left.

    python -m tests.storage.store_campaign --kills 1000 --seed 0

Points are drawn from all calls, moments (before, half-way, after) and works; the same seed draws the same
points. After each kill every entry of the store is what its name says, every other name is absent, what
it was, or whole, the journal has all it had, what was linked to is as it was; and the next run succeeds
and leaves nothing but its result. Exit code 1 where any of that fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lora_convert.errors import LoraConvertError
from lora_convert.storage import hashes, linking
from lora_convert.storage.atomic import staged_folder, sync_folder
from lora_convert.storage.hashes import is_hash
from lora_convert.storage.journal import Entry, is_done, opened, read
from lora_convert.storage.leftovers import is_temporary, remove_leftovers
from lora_convert.storage.locks import LOCK, held
from lora_convert.storage.positions import write_at
from lora_convert.storage.store import KNOWN, put_file, put_written
from tests.storage import kills
from tests.storage.forking import Moment, calls_of, killed_at

CONTENT = random.Random(0).randbytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def _put_file(root: Path) -> None:
    put_file(str(root / "shared"), str(root.parent / "source"), how="copy")


def _put_written(root: Path) -> None:
    put_written(str(root / "shared"), lambda number: write_at(number, CONTENT, 0), recipe="r")


def _place(how: linking.How) -> Callable[[Path], None]:
    def place(root: Path) -> None:
        linking._tried.clear()
        if not os.path.lexists(root / "placed"):
            linking.place(str(root.parent / "source"), str(root / "placed"), how, ours=True)

    return place


def _folder(root: Path) -> None:
    """A folder, over an old one where there is one."""
    target = root / "folder"
    if (target / "new").exists():
        remove_leftovers(str(root))
        return
    with staged_folder(str(target)) as staged:
        for name in ("new", "sub/new"):
            path = Path(staged.path, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(CONTENT)
        sync_folder(os.path.join(staged.path, "sub"))
        staged.publish(replace=True, own=OLD)


def _record(root: Path) -> None:
    with held(str(root)), opened(str(root / "journal")) as journal:
        for item in ("first", "second", "third"):
            if not is_done(journal.last, item, "f"):
                journal.add(Entry(item, "done", "f"))


OLD = {"old", "sub/old", "sub/deeper/old", "sub/link", "link"}


def _old_folder(root: Path) -> None:
    (root / "folder" / "sub" / "deeper").mkdir(parents=True)
    for name in ("old", "sub/old", "sub/deeper/old"):
        (root / "folder" / name).write_bytes(b"old")
    (root / "folder" / "sub" / "link").symlink_to(root.parent / "victim")
    (root / "folder" / "link").symlink_to(root.parent / "victim" / "file")


def _old_journal(root: Path) -> None:
    with opened(str(root / "journal")) as journal:
        journal.add(Entry("old", "done", "f"))
    with (root / "journal").open("ab") as file:
        file.write(b'{"sum":"torn')


def _known(root: Path) -> None:
    (root / "shared").mkdir()
    hashes.learn(str(root / "shared" / KNOWN), recipes={"old": "0" * 64})


class Work(NamedTuple):
    """Something that writes into a folder, and what is there before."""

    name: str
    run: Callable[[Path], None]
    prepare: Callable[[Path], None] = lambda root: None


WORKS = (
    Work("put a file", _put_file),
    Work("put a file beside what is known", _put_file, _known),
    Work("put what is written", _put_written),
    Work("place by hard link", _place("hardlink")),
    Work("place by symbolic link", _place("symlink")),
    Work("place by copy", _place("copy")),
    Work("make a folder", _folder),
    Work("replace a folder", _folder, _old_folder),
    Work("begin a journal", _record),
    Work("go on with a torn journal", _record, _old_journal),
)


class Campaign:
    """Kills in one temporary folder, and what they left."""

    def __init__(self, root: Path) -> None:
        self.root = root / "run"
        self.others = root
        (root / "source").write_bytes(CONTENT)
        (root / "victim").mkdir()
        (root / "victim" / "file").write_bytes(b"precious")
        self.left: Counter[str] = Counter()
        self.problems: list[str] = []

    def prepare(self, work: Work) -> dict[str, bytes]:
        """The folder as it is before the kill; returns what is in it."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        work.prepare(self.root)
        return contents(self.root)

    def points(self, work: Work) -> list[tuple[Work, int, Moment]]:
        """All points at which a work can be killed."""
        self.prepare(work)
        calls = calls_of(lambda: work.run(self.root))
        return [(work, call, moment) for call in range(1, calls + 1) for moment in kills.MOMENTS]

    def kill(self, work: Work, call: int, moment: Moment) -> None:
        """One kill, and all that must hold after it."""
        self.prepare(work)
        work.run(self.root)
        whole = contents(self.root)
        old = self.prepare(work)
        where = f"{work.name}, killed {moment} call {call}"
        if not killed_at(lambda: work.run(self.root), call, moment):
            self.problems.append(f"{where}: it was not killed")
        found = contents(self.root)
        self.check(where, found, old, whole)
        state = "whole" if found == whole else "as before" if found == old else "between"
        self.left[f"{work.name}: {state}"] += 1
        try:
            work.run(self.root)
        except LoraConvertError as error:
            self.problems.append(f"{where}, run again: {error}")
        again = contents(self.root, temporary=True)
        if again != whole:
            self.problems.append(f"{where}, run again: {sorted(again.keys() ^ whole.keys())}")
        if (self.others / "source").read_bytes() != CONTENT or contents(self.others / "victim") != {
            "file": b"precious"
        }:
            self.problems.append(f"{where}: what was linked to is changed")

    def check(
        self, where: str, found: dict[str, bytes], old: dict[str, bytes], whole: dict[str, bytes]
    ) -> None:
        """Each name absent, old or whole; and those of a folder all of one kind."""
        for name, data in found.items():
            last = name.rsplit("/", maxsplit=1)[-1]
            if last == "journal":
                entries = read(str(self.root / name))
                right = ("old" in entries) == (name in old)
            elif is_hash(last):
                right = hashlib.sha256(data).hexdigest() == last
            else:
                right = last == LOCK or data in (old.get(name), whole.get(name))
            if not right:
                self.problems.append(f"{where}: {name} is neither old nor whole")
        for folder in ("folder/", "placed"):
            names = {name for name in found if name.startswith(folder)}
            choices = [{name for name in some if name.startswith(folder)} for some in (old, whole)]
            if names not in choices:
                self.problems.append(f"{where}: half of {folder}: {sorted(names)}")


_TIME = re.compile(rb"(entry:[0-9a-f]{64}:\d+):\d+")


def contents(root: Path, *, temporary: bool = False) -> dict[str, bytes]:
    """Files and links in a folder, with their bytes and texts; temporaries only where wanted."""
    found = {}
    for folder, folders, files in os.walk(root):
        if not temporary:
            folders[:] = [name for name in folders if not is_temporary(name)]
        for name in (*files, *folders):
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path.relative_to(root))] = os.fsencode(path.readlink())
            elif path.is_file() and (temporary or not is_temporary(name)):
                data = path.read_bytes()
                found[str(path.relative_to(root))] = _known_of(data) if name == KNOWN else data
    return found


def _known_of(data: bytes) -> bytes:
    """Without order and times of entries, which are others in each run."""
    return _TIME.sub(rb"\1", json.dumps(json.loads(data), sort_keys=True).encode())


def main() -> int:
    """Run a campaign; returns the exit code."""
    hashes._SETTLED = 0
    told = "nothing partial, nothing lost, every next run succeeded"
    return kills.run(__doc__, Campaign, WORKS, told)


if __name__ == "__main__":
    sys.exit(main())
