"""Sources that change while they are read: a typed error, or the answer for one state of the file, whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

import lora_convert
from lora_convert.errors import LoraConvertError
from lora_convert.storage.files import SourceFile
from tests.hostile.answering import answer
from tests.storage.kill_campaign import contents
from tests.storage.making import UNET, adapter_tensors, content, tensor_bytes

KOHYA = UNET.replace("unet.", "lora_unet_").replace(".", "_")


def kohya(alpha: bytes, seed: int) -> bytes:
    """A file whose scale lies in its data, with other values for each seed."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    data: dict[str, bytes] = {}
    for number, name in enumerate(("to_q", "to_k", "to_v")):
        tensors[f"{KOHYA}_{name}.alpha"] = ("F32", ())
        tensors[f"{KOHYA}_{name}.lora_down.weight"] = ("F32", (2, 8))
        tensors[f"{KOHYA}_{name}.lora_up.weight"] = ("F32", (8, 2))
        data[f"{KOHYA}_{name}.alpha"] = alpha
        data[f"{KOHYA}_{name}.lora_down.weight"] = tensor_bytes("F32", (2, 8), seed + number)
    return content(tensors, data=data)


class Container(NamedTuple):
    """A file, another of its length, and one of another length."""

    name: str
    old: bytes
    new: bytes
    other: bytes


CONTAINERS = {
    "safetensors": Container(
        "x.safetensors",
        kohya(b"\0\0\x80\x3f", 1),
        kohya(b"\0\0\0\x40", 50),
        content(adapter_tensors(UNET, rank=1, width=4)),
    ),
}


def replaced(path: Path, data: bytes) -> None:
    (path.parent / "new").write_bytes(data)
    os.replace(path.parent / "new", path)


def overwritten(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def with_its_old_time(path: Path, data: bytes) -> None:
    overwritten(path, data)
    os.utime(path, (0, 0))


CHANGES: dict[str, Callable[[Path, Container], object]] = {
    "emptied": lambda path, given: os.truncate(path, 0),
    "cut in the header": lambda path, given: os.truncate(path, 100),
    "cut in the data": lambda path, given: os.truncate(path, len(given.old) - 9),
    "longer": lambda path, given: os.truncate(path, len(given.old) + 9),
    "a byte changed": lambda path, given: overwritten(path, given.old[:-1] + b"\0"),
    "overwritten by another of its size": lambda path, given: overwritten(path, given.new),
    "overwritten and given its old time": lambda path, given: with_its_old_time(path, given.new),
    "written anew": lambda path, given: path.write_bytes(given.other),
    "replaced by another of its size": lambda path, given: replaced(path, given.new),
    "replaced by garbage": lambda path, given: replaced(path, b"garbage"),
    "removed": lambda path, given: path.unlink(),
}
COMMANDS = (
    ["inspect", "--json"],
    ["inspect", "--json", "--health"],
    ["to-peft", "--json"],
    ["to-peft", "--json", "--no-verify"],
    ["to-diffusers", "--json", "--dtype", "bf16"],
    ["verify", "--json"],
)


@contextmanager
def changing(path: Path, change: Callable[[], object], after: int) -> Iterator[list[int]]:
    """A change behind the back of the reader, after its read of that number; the list counts reads."""
    real, count = SourceFile.read, [0]

    def read(file: SourceFile, start: int, size: int) -> bytes:
        data = real(file, start, size)
        if os.path.basename(file.path) == path.name:
            count[0] += 1
            if count[0] == after:
                change()
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SourceFile, "read", read)
        yield count


def states(
    command: list[str], change: str, folder: Path, given: Container
) -> Iterator[tuple[int, object]]:
    """Answers for a file that changes after its first read, its second, and so on."""
    for after in range(1, 60):
        place = folder / f"{after}"
        place.mkdir(parents=True)
        path = place / given.name
        path.write_bytes(given.old)
        os.utime(path, (0, 0))
        wait_for_the_clock(path)
        change_it = partial(CHANGES[change], path, given)
        with changing(path, change_it, after) as count:
            yield after, outcome(command, place, given)
        if count[0] < after:
            return
    pytest.fail("read more than 60 times")


def wait_for_the_clock(path: Path) -> None:
    """Until a change of a file would be seen, however coarse the clock of its disk is."""
    other = path.with_name("clock")
    while True:
        other.write_bytes(b"")
        os.utime(other, (0, 0))
        if other.stat().st_ctime_ns != path.stat().st_ctime_ns:
            other.unlink()
            return


def outcome(command: list[str], place: Path, given: Container) -> object:
    """All that can be seen of a command's success, alike in every folder; None for a typed error."""
    arguments = [*command, str(place / given.name)]
    if command[0] == "verify":
        (place / f"y{given.name}").write_bytes(given.old)
        arguments.append(str(place / f"y{given.name}"))
    elif command[0] != "inspect":
        arguments += ["-o", str(place / "out")]
    done = answer(arguments)
    fields = json.loads(done.stdout.replace(str(place), "FOLDER"))
    if "error" in fields:
        assert done.exit_code in {1, 2, 4, 5}
        assert not (place / "out").exists()
        return None
    fields["proof"] = fields["seconds"] = None
    return fields, contents(place / "out")


def answers(command: list[str], folder: Path, given: Container) -> list[object]:
    """The answers for the old file and for the new, unchanged."""
    found: list[object] = []
    for number, data in enumerate(given[1:]):
        place = folder / f"unchanged-{number}"
        place.mkdir()
        (place / given.name).write_bytes(data)
        found.append(outcome(command, place, given))
    return found


def cases() -> Iterator[object]:
    for container, command, change in product(CONTAINERS, COMMANDS, CHANGES):
        name = f"{container}: {' '.join(command)}: {change}"
        yield pytest.param(container, command, change, id=name)


@pytest.mark.parametrize(("container", "command", "change"), list(cases()))
def test_no_change_goes_unseen(
    container: str, command: list[str], change: str, tmp_path: Path
) -> None:
    given = CONTAINERS[container]
    right = answers(command, tmp_path, given)
    seen = 0
    for after, found in states(command, change, tmp_path / "places", given):
        if found is None:
            seen += 1
        else:
            assert found in right, f"after read {after}"
    if command[0].startswith("to-") and not change.startswith(("replaced", "removed")):
        assert seen, "every byte is read, and what is open and stays is checked at the end"


@pytest.mark.parametrize("given", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.skipif(os.name == "nt", reason="what is open cannot be removed there")
def test_what_is_replaced_while_it_is_open_is_read_as_it_was_or_refused(
    given: Container, tmp_path: Path
) -> None:
    path = tmp_path / given.name
    path.write_bytes(given.old)
    right = lora_convert.convert(str(path), "peft", output=str(tmp_path / "p")).output
    with lora_convert.plan_convert(str(path), "peft", output=str(tmp_path / "o")) as plan:
        replaced(path, given.new)
        try:
            plan.apply()
        except LoraConvertError:
            assert not (tmp_path / "o").exists()
        else:
            assert contents(tmp_path / "o") == contents(Path(right))


@pytest.mark.parametrize("given", CONTAINERS.values(), ids=CONTAINERS)
def test_a_file_cut_between_plan_and_writing_is_refused(given: Container, tmp_path: Path) -> None:
    path = tmp_path / given.name
    path.write_bytes(given.old)
    with lora_convert.plan_convert(str(path), "kohya", output=str(tmp_path / "o")) as plan:
        os.truncate(path, 300)
        with pytest.raises(LoraConvertError):
            plan.apply()
    assert os.listdir(tmp_path) == [given.name]
