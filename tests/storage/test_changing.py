"""Sources that change while they are read: a typed error, or the answer for one state of the file, whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

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


OLD, NEW = kohya(b"\0\0\x80\x3f", 1), kohya(b"\0\0\0\x40", 50)
OTHER = content(adapter_tensors(UNET, rank=1, width=4))


def replaced(path: Path, data: bytes) -> None:
    (path.parent / "new").write_bytes(data)
    os.replace(path.parent / "new", path)


def overwritten(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def with_its_old_time(path: Path) -> None:
    overwritten(path, NEW)
    os.utime(path, (0, 0))


CHANGES: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: os.truncate(path, 0),
    "cut in the header": lambda path: os.truncate(path, 100),
    "cut in the data": lambda path: os.truncate(path, len(OLD) - 9),
    "longer": lambda path: os.truncate(path, len(OLD) + 9),
    "a byte changed": lambda path: overwritten(path, OLD[:-1] + b"\0"),
    "overwritten by another of its size": lambda path: overwritten(path, NEW),
    "overwritten and given its old time": with_its_old_time,
    "written anew": lambda path: path.write_bytes(OTHER),
    "replaced by another of its size": lambda path: replaced(path, NEW),
    "replaced by garbage": lambda path: replaced(path, b"garbage"),
    "removed": lambda path: path.unlink(),
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
def changing(path: Path, change: Callable[[Path], object], after: int) -> Iterator[list[int]]:
    """A change behind the back of the reader, after its read of that number; the list counts reads."""
    real, count = SourceFile.read, [0]

    def read(file: SourceFile, start: int, size: int) -> bytes:
        data = real(file, start, size)
        if os.path.basename(file.path) == path.name:
            count[0] += 1
            if count[0] == after:
                change(path)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SourceFile, "read", read)
        yield count


def states(command: list[str], change: str, folder: Path) -> Iterator[tuple[int, object]]:
    """Answers for a file that changes after its first read, its second, and so on."""
    for after in range(1, 60):
        place = folder / f"{after}"
        place.mkdir(parents=True)
        path = place / "x.safetensors"
        path.write_bytes(OLD)
        os.utime(path, (0, 0))
        wait_for_the_clock(path)
        with changing(path, CHANGES[change], after) as count:
            yield after, outcome(command, place)
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


def outcome(command: list[str], place: Path) -> object:
    """All that can be seen of a command's success, alike in every folder; None for a typed error."""
    arguments = [*command, str(place / "x.safetensors")]
    if command[0] == "verify":
        (place / "y.safetensors").write_bytes(OLD)
        arguments.append(str(place / "y.safetensors"))
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


def answers(command: list[str], folder: Path) -> list[object]:
    """The answers for the old file and for the new, unchanged."""
    found: list[object] = []
    for name, data in (("old", OLD), ("new", NEW), ("other", OTHER)):
        (folder / name).mkdir()
        (folder / name / "x.safetensors").write_bytes(data)
        found.append(outcome(command, folder / name))
    return found


def cases() -> Iterator[object]:
    for command, change in product(COMMANDS, CHANGES):
        reason = "of a file's times only the one is compared that anyone may set"
        marks = [pytest.mark.xfail(reason=reason)] if "old time" in change else []
        yield pytest.param(command, change, marks=marks, id=f"{' '.join(command)}: {change}")


@pytest.mark.parametrize(("command", "change"), list(cases()))
def test_no_change_goes_unseen(command: list[str], change: str, tmp_path: Path) -> None:
    right = answers(command, tmp_path)
    seen = 0
    for after, found in states(command, change, tmp_path / "places"):
        if found is None:
            seen += 1
        else:
            assert found in right, f"after read {after}"
    if command[0].startswith("to-") and not change.startswith(("replaced", "removed")):
        assert seen, "every byte is read, and what is open and stays is checked at the end"


@pytest.mark.skipif(os.name == "nt", reason="what is open cannot be removed there")
def test_what_is_replaced_while_it_is_open_is_read_as_it_was_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(OLD)
    right = lora_convert.convert(str(path), "peft", output=str(tmp_path / "p")).output
    with lora_convert.plan_convert(str(path), "peft", output=str(tmp_path / "o")) as plan:
        replaced(path, NEW)
        try:
            plan.apply()
        except LoraConvertError:
            assert not (tmp_path / "o").exists()
        else:
            assert contents(tmp_path / "o") == contents(Path(right))


def test_a_file_cut_between_plan_and_writing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(OLD)
    with lora_convert.plan_convert(str(path), "kohya", output=str(tmp_path / "o")) as plan:
        os.truncate(path, 300)
        with pytest.raises(LoraConvertError):
            plan.apply()
    assert os.listdir(tmp_path) == ["x.safetensors"]
