"""Another process that swaps what is to be moved, again and again, while it is moved."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lora_convert.errors import DestinationExistsError, NotMovedError
from lora_convert.storage.identity import State
from lora_convert.storage.renaming import can_exchange, exchange
from lora_convert.storage.trash import Trash

if os.name == "nt":
    pytest.skip("processes are forked", allow_module_level=True)

ROUNDS = 60


@contextlib.contextmanager
def meanwhile(act: Callable[[int], None]) -> Iterator[None]:
    """Another process that acts, with a number that counts up, until the block ends."""
    process = os.fork()
    if not process:
        number = 0
        with contextlib.suppress(BaseException):
            while True:
                number += 1
                with contextlib.suppress(OSError):
                    act(number)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def attempt(trash: Trash, name: str, planned: State, said: Counter[str]) -> None:
    """Move a thing away and back, as far as the other process lets one."""
    try:
        item = trash.put({name: planned}, why="", command="")
    except NotMovedError:
        said["left"] += 1
        return
    said["moved"] += 1
    with contextlib.suppress(DestinationExistsError, NotMovedError):
        trash.undo(item.id)


def test_the_last_that_another_wrote_is_never_lost(tmp_path: Path) -> None:
    """It replaces the file by a rename: what it wrote last is under its name, or in the trash."""
    root, told = tmp_path / "root", tmp_path / "told"
    root.mkdir()
    (root / "file").write_text("0")

    def replace(number: int) -> None:
        (root / "new").write_text(str(number))
        with told.open("a") as lines:  # which a kill does not empty
            lines.write(f"{number}\n")
        (root / "new").replace(root / "file")

    trash, said = Trash(str(root), ".trash"), Counter[str]()
    with meanwhile(replace):
        for _ in range(ROUNDS):
            with contextlib.suppress(NotMovedError):
                attempt(trash, "file", trash.state("file"), said)
    assert said["left"]
    last = int(told.read_text().splitlines()[-1])
    found = [path for path in (root / "file", *root.glob(".trash/*/0")) if path.exists()]
    assert {last - 1, last} & {int(path.read_text()) for path in found}
    for item in trash.items():
        with contextlib.suppress(DestinationExistsError):
            trash.undo(item.id)
    assert trash.foreign() == ()


def test_what_a_link_leads_to_is_never_moved(tmp_path: Path) -> None:
    """It gives the folder's name to a link that leads out, and back."""
    root, precious = tmp_path / "root", tmp_path / "precious"
    for folder in (root / "sub", precious):
        folder.mkdir(parents=True)
        (folder / "file").write_text(folder.name)
    (root / "link").symlink_to(precious)
    identity = (precious / "file").stat().st_ino

    def swap(number: int) -> None:
        exchange(str(root / "sub"), str(root / "link"))
        exchange(str(root / "sub"), str(root / "link"))
        for _ in range(number * 37 % 1000):  # else hardly anything would be moved
            os.path.lexists(root)

    trash, said = Trash(str(root), ".trash"), Counter[str]()
    planned = trash.state("sub/file")
    if not can_exchange(str(tmp_path / "root/sub")):
        pytest.skip("this disk cannot exchange names")
    with meanwhile(swap):
        for _ in range(3 * ROUNDS):
            attempt(trash, "sub/file", planned, said)
            for item in trash.items():
                with contextlib.suppress(DestinationExistsError, NotMovedError):
                    trash.undo(item.id)
    assert said["moved"]
    assert said["left"]
    assert (precious / "file").stat().st_ino == identity
    assert os.listdir(precious) == ["file"]
    own = [path for path in root.rglob("*") if path.is_file() and path.name != "manifest.json"]
    assert any(path.read_text() == "sub" for path in own)


def test_what_is_written_to_meanwhile_is_never_lost(tmp_path: Path) -> None:
    """It writes to the file in place, and sets its time back."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("0")

    def write(number: int) -> None:
        for path in (root / "file", *root.glob(".trash/*/0")):
            with path.open("r+") as file:
                file.write(str(number))
            os.utime(path, ns=(number, number))

    trash, said = Trash(str(root), ".trash"), Counter[str]()
    identity = (root / "file").stat().st_ino
    with meanwhile(write):
        for _ in range(ROUNDS):
            attempt(trash, "file", trash.state("file"), said)
    assert said["left"]
    assert (root / "file").stat().st_ino == identity
    assert trash.items() == trash.foreign() == ()
