"""Every torch file of a stranger has one clear answer, and nothing that it asks for is done."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lora_convert
from fixtures.hostile.assembling import PAIR, A, B, dictionary, storage, tensor, torch_file
from fixtures.hostile.live_pickles import FRAGMENTS, WHOLE
from fixtures.hostile.torch_files import PICKLES, UNSAFE
from fixtures.hostile.torch_large import LARGE
from fixtures.hostile.torch_zips import FOREIGN, HARMLESS, ZIPS
from lora_convert.errors import (
    CorruptCheckpointError,
    LoraConvertError,
    UnknownFormatError,
    UnsafePickleError,
)
from lora_convert.storage import torch_zip, zip_entries
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.folders import weight_files
from lora_convert.storage.pickle_names import ALLOWED
from lora_convert.storage.pickled import Record, key_of
from tests.hostile.answering import answer
from tests.hostile.test_watched import hostile
from tests.storage.making import content

BROKEN = PICKLES | ZIPS
SOUND = HARMLESS["sound"]
TURNED = torch_file(dictionary({A: PAIR[A], B: tensor(storage("1"), (4, 2), (1, 4))}))
MOST_SECONDS = 5
MOST_MEMORY = 512 << 20

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def refused(path: Path, exit_code: int, kind: type[LoraConvertError]) -> LoraConvertError:
    """The error that every command ends with; nothing else is shown and nothing is written."""
    before = path.read_bytes()
    with pytest.raises(kind) as caught:
        lora_convert.inspect(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    out = path.parent / "out"
    for arguments in (
        ["inspect", "--health", str(path)],
        ["to-diffusers", str(path), "-o", str(out)],
        ["verify", str(path), str(path)],
    ):
        result = answer(arguments)
        assert (result.exit_code, result.stdout) == (exit_code, ""), arguments
        assert result.stderr.startswith(f"error: {path}: ")
        assert all(ch.isprintable() or ch == "\n" for ch in result.stderr)
        assert len(result.stderr) < 2000
    told = json.loads(answer(["inspect", "--json", str(path)]).stdout)["error"]
    assert told["type"] == kind.__name__
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    return caught.value


@posix
def test_the_live_payloads_are_live(tmp_path: Path) -> None:
    """The positive control: opened by Python, all but those whose modules this Python lacks run."""
    command = [sys.executable, "-m", "tests.hostile.opened_by_python", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == FRAGMENTS.keys() | WHOLE.keys()
    dead = {name: why for name, why in found.items() if why != "ran"}
    assert all("ModuleNotFoundError" in w or "AttributeError" in w for w in dead.values()), dead
    assert len(found) - len(dead) >= 100


@pytest.mark.parametrize("name", UNSAFE)
def test_what_asks_for_code_is_refused_and_said(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(UNSAFE[name])
    error = refused(path, 5, UnsafePickleError)
    assert isinstance(error, UnsafePickleError)
    assert error.name not in ALLOWED
    assert error.name or re.search(r"opcode 0x|calls something that is no name", str(error))
    assert repr(error.name)[1:60].rstrip("'") in error.problem or not error.name


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("runs-os-system", "os.system"),
        ("runs-builtins-eval-python-2", "builtins.eval"),
        ("runs-dotted-method", "pathlib.Path.touch"),
        ("runs-stack-global-remembered", "os.system"),
        ("pickle-broken-afterwards", "os.system"),
        ("asks-name-in-cyrillic", "\u043es.system"),
        ("asks-name-behind-a-newline", "collections.OrderedDict\nos.system"),
    ],
)
def test_the_name_that_is_asked_for_is_data(name: str, asked: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(UNSAFE[name])
    with pytest.raises(UnsafePickleError) as caught:
        lora_convert.inspect(str(path))
    assert caught.value.name == asked


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(BROKEN[name])
    refused(path, 1, CorruptCheckpointError)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_something_else_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    data, word = FOREIGN[name]
    path.write_bytes(data)
    error = refused(path, 4, UnknownFormatError)
    assert word in str(error)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_wrong_is_read_and_shown_with_care(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(HARMLESS[name])
    out = tmp_path / "o.safetensors"
    for arguments in (
        ["inspect", "--health", "--names", str(path)],
        ["to-diffusers", str(path), "-o", str(out)],
    ):
        result = answer(arguments)
        assert result.exit_code in {0, 1, 4}
        assert all(ch.isprintable() or ch == "\n" for ch in result.stdout + result.stderr)
    told = json.loads(answer(["inspect", "--json", str(path)]).stdout)
    assert "object at 0x" not in json.dumps(told["payload"])
    assert told == json.loads(answer(["inspect", "--json", str(path)]).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is Linux's")
def test_large_ones_are_answered_in_little_time_and_memory(tmp_path: Path) -> None:
    paths = []
    for name, make in LARGE.items():
        paths.append(tmp_path / f"{name}.pt")
        paths[-1].write_bytes(make())
    sparse = tmp_path / "pickle-of-a-terabyte.pt"
    with open(sparse, "wb") as file, zipfile.ZipFile(file, "w") as new:  # noqa: SIM117
        with new.open("x/data.pkl", "w", force_zip64=True) as one:
            one._file_size = 1 << 40
            file.seek(1 << 40, os.SEEK_CUR)
    code = (
        "import io, json, resource, sys, time\n"
        "from contextlib import redirect_stderr, redirect_stdout\n"
        "from lora_convert.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "for path in sys.argv[1:]:\n"
        "    for command in (['inspect', '--json', path], ['to-peft', path, '-o', path + '.out']):\n"
        "        since, ended = time.process_time(), None\n"
        "        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):\n"
        "            try:\n                main(command)\n"
        "            except SystemExit as end:\n                ended = end.code\n"
        "        status = open('/proc/self/status').read()\n"
        "        most = int(status.split('VmHWM:')[1].split()[0]) * 1024\n"
        "        print(json.dumps([path, ended, time.process_time() - since, most]), flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths), str(sparse)],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 2 * (len(LARGE) + 1)
    for path, ended, seconds, memory in told:
        assert ended in {0, 1, 4}, path
        assert seconds < MOST_SECONDS, path
        assert memory < MOST_MEMORY, path


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    for length in range(len(SOUND)):
        path.write_bytes(SOUND[:length])
        with pytest.raises(CorruptCheckpointError):
            lora_convert.inspect(str(path))


def places(path: Path) -> list[int]:
    """Every byte of every storage."""
    with zipfile.ZipFile(path) as file:
        entries = [entry for entry in file.infolist() if "/data/" in entry.filename]
    starts = [entry.header_offset + 30 + len(entry.filename) for entry in entries]
    return [
        start + at
        for start, entry in zip(starts, entries, strict=True)
        for at in range(entry.file_size)
    ]


def flipped(data: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


def test_a_flipped_bit_of_any_storage_is_found_when_the_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(SOUND)
    for at in places(path):
        for bit in range(8):
            path.write_bytes(flipped(SOUND, at, bit))
            with pytest.raises(CorruptCheckpointError, match="is damaged"):
                lora_convert.inspect(str(path))


def test_a_flipped_bit_of_a_large_storage_is_found_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_entries, "SMALL", 0)
    path = tmp_path / "x.pt"
    for sound in (SOUND, TURNED):
        path.write_bytes(sound)
        assert lora_convert.inspect(str(path)).modules == 1
        for at in places(path)[::3]:
            path.write_bytes(flipped(sound, at, at % 8))
            for arguments in (
                ["to-kohya", str(path), "-o", str(tmp_path / "o")],
                ["inspect", "--health", str(path)],
                ["verify", str(path), str(path)],
            ):
                result = answer(arguments)
                assert result.exit_code == 1
                assert "is damaged" in result.stderr
    assert os.listdir(tmp_path) == ["x.pt"]


def test_a_flipped_bit_anywhere_is_found_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(SOUND)
    with Checkpoint(weight_files(str(path))) as checkpoint:
        sound = checkpoint.header.tensors
    for at in range(len(SOUND)):
        path.write_bytes(flipped(SOUND, at, at % 8))
        try:
            with Checkpoint(weight_files(str(path))) as checkpoint:
                assert checkpoint.header.tensors == sound
        except LoraConvertError as error:
            assert str(error).startswith(str(path))


def test_a_longer_pickle_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_zip, "MAX_PICKLE", 100)
    path = tmp_path / "x.pt"
    path.write_bytes(SOUND)
    with pytest.raises(CorruptCheckpointError, match="the limit is 100"):
        lora_convert.inspect(str(path))


def test_no_key_has_a_hash_that_can_be_chosen() -> None:
    assert [key_of(value) for value in (5, -(1 << 63), 0.5, "a")] == [
        "5",
        str(-(1 << 63)),
        "0.5",
        "a",
    ]
    for value in ((1, 2), 1 << 400, Record("x", ())):
        assert type(key_of(value)) is Record


def test_containers_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    """A header of safetensors in front of a torch file, and the reverse."""
    safe = content({"a.lora_A.weight": ("F32", (2, 4)), "a.lora_B.weight": ("F32", (4, 2))})
    path = tmp_path / "x.safetensors"
    for data in (safe + SOUND, SOUND + safe):
        path.write_bytes(data)
        with pytest.raises(CorruptCheckpointError):
            lora_convert.inspect(str(path))
    path.write_bytes(SOUND)
    assert lora_convert.inspect(str(path)).container == "torch zip"


def test_nothing_is_done_but_reading(tmp_path: Path) -> None:
    """No code, import, process, socket or map; nothing written elsewhere, and nothing else opened."""
    given = tmp_path / "given"
    given.mkdir()
    corpus = UNSAFE | BROKEN | HARMLESS | {name: data for name, (data, _) in FOREIGN.items()}
    sources = []
    for name, data in corpus.items():
        sources.append(str(given / f"{name}.pt"))
        Path(sources[-1]).write_bytes(data)
    seen = hostile(tmp_path, sources)
    assert [path for path in seen.opened if not path.startswith(str(tmp_path))] == []
    assert "Traceback" not in seen.stderr
    assert len(list(given.iterdir())) == len(corpus)
