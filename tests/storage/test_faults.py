"""A disk that fails at any call: a typed error, nothing partial under the name, no temporary left."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lora_convert
from lora_convert.errors import (
    CorruptCheckpointError,
    LoraConvertError,
    NotEnoughSpaceError,
    OutputError,
    VerificationError,
)
from lora_convert.storage import atomic, renaming, writer
from lora_convert.storage.positions import write_at
from tests.storage.faults import FAILURES, failing
from tests.storage.making import peft_folder

CALLS = [
    name
    for name in ("open", "pwrite", "copy_file_range", "fsync", "link", "rename", "mkdir")
    if hasattr(os, name)
]


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def expected(tmp_path: Path, to: str) -> dict[str, bytes]:
    """What a conversion without faults writes."""
    whole = tmp_path / "whole"
    whole.mkdir()
    lora_convert.convert(str(tmp_path / "a"), to, output=str(whole / "o"))
    return {
        str(path.relative_to(whole)): path.read_bytes()
        for path in whole.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("to", ["diffusers", "kohya", "peft"])
@pytest.mark.parametrize("name", CALLS)
def test_every_call_can_fail(
    name: str, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = peft_folder(tmp_path / "a")
    if name == "link":  # used where the system has no rename that replaces nothing
        monkeypatch.setattr(renaming, "_rename_exclusively", lambda path, target: errno.ENOSYS)
    right = expected(tmp_path, to)
    for failure in FAILURES:
        for after in range(30):
            place = tmp_path / f"{failure}-{after}"
            place.mkdir()
            with failing(name, getattr(errno, failure), after) as count:
                try:
                    lora_convert.convert(str(source), to, output=str(place / "o"))
                except OutputError as error:
                    left = {name for name in files_in(place) if (place / name).is_file()}
                    published = "durability unknown" in str(error)
                    assert not left or (published and left == set(right))
                    assert not any("lora-convert-tmp" in name for name in files_in(place))
                else:
                    assert {name: (place / name).read_bytes() for name in right} == right
            if count[0] <= after:
                break
        else:
            pytest.fail(f"{name} is called more than 30 times")


@pytest.mark.skipif(not hasattr(os, "pread"), reason="read by seeking")
@pytest.mark.parametrize("to", ["kohya", "peft", "bf16"])
def test_every_read_can_fail(to: str, tmp_path: Path) -> None:
    """Of a source, and of what was written: the error tells which, and nothing is left."""
    source = peft_folder(tmp_path / "a")
    kohya = lora_convert.convert(str(source), "kohya", output=str(tmp_path / "k.safetensors"))
    how = {"to": "diffusers", "dtype": "bf16"} if to == "bf16" else {"to": to}
    origin = kohya.output if to == "peft" else str(source)
    told = set()
    for after in range(200):
        place = tmp_path / f"{after}"
        with failing("pread", errno.EIO, after) as count:
            try:
                lora_convert.convert(origin, output=str(place / "o"), **how)
            except (OutputError, CorruptCheckpointError) as error:
                told.add(type(error))
                assert "Input/output error" in str(error)
                assert str(tmp_path) in str(error)
                assert not place.exists()
        if count[0] <= after:
            break
    else:
        pytest.fail("pread is called more than 200 times")
    assert told == {OutputError, CorruptCheckpointError}


@pytest.mark.parametrize("failure", FAILURES)
def test_the_last_step_can_fail(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = getattr(errno, failure)
    monkeypatch.setattr(renaming, "_rename_exclusively", lambda path, target: code)
    with pytest.raises(OutputError, match="cannot be written"):
        lora_convert.convert(
            str(peft_folder(tmp_path / "a")), "kohya", output=str(tmp_path / "o.safetensors")
        )
    assert os.listdir(tmp_path) == ["a"]


def test_replacing_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    old, new = peft_folder(tmp_path / "a"), peft_folder(tmp_path / "b", lora_alpha=16)
    out = tmp_path / "o.safetensors"
    lora_convert.convert(str(old), "diffusers", output=str(out))
    before = out.read_bytes()
    for name in ("pwrite", "fsync", "replace"):
        with failing(name, errno.EIO, 0), pytest.raises(OutputError):
            lora_convert.convert(str(new), "diffusers", output=str(out), force=True)
        assert out.read_bytes() == before
    lora_convert.convert(str(new), "diffusers", output=str(out), force=True)
    assert out.read_bytes() != before


def test_a_full_disk_says_how_much_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "free_space", lambda folder: 100)
    with (
        pytest.raises(NotEnoughSpaceError, match="needs 5,000 bytes, 100 are free"),
        atomic.staged_file(str(tmp_path / "x"), 5000),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(NotEnoughSpaceError):
        lora_convert.convert(str(peft_folder(tmp_path / "a")), "kohya", output=str(tmp_path / "o"))
    assert not (tmp_path / "x").exists()


def test_a_disk_that_does_not_tell_its_size_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "free_space", lambda folder: None)
    lora_convert.convert(str(peft_folder(tmp_path / "a")), "kohya", output=str(tmp_path / "o"))


def test_an_error_on_the_way_passes_as_it_is(tmp_path: Path) -> None:
    """Also where it is an OSError by birth, and where cleaning up fails after it."""
    from lora_convert.errors import CheckpointNotFoundError, HubError

    for error in (
        CheckpointNotFoundError("x"),
        HubError("y"),
        ValueError("z"),
        KeyboardInterrupt(),
    ):
        with (
            pytest.raises(type(error)) as caught,
            atomic.staged_file(str(tmp_path / "x")) as (descriptor, _),
        ):
            os.close(descriptor)  # closing it again fails
            raise error
        assert caught.value is error
    assert os.listdir(tmp_path) == []


def test_a_name_that_the_disk_did_not_confirm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing_sync(folder: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic, "sync_folder", failing_sync)
    out = tmp_path / "o.safetensors"
    with pytest.raises(OutputError, match="published, durability unknown") as caught:
        lora_convert.convert(str(peft_folder(tmp_path / "a")), "kohya", output=str(out))
    assert caught.value.exit_code == 1
    assert lora_convert.inspect(str(out)).explained == 12


def test_file_systems_that_cannot_sync_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(atomic.os, "fsync", unsupported)
    atomic.sync_folder(str(tmp_path))


@pytest.mark.parametrize("where", ["head", "copied", "computed"])
def test_a_byte_flipped_between_writing_and_proof_is_caught(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = writer.write_tensor_file

    def flipping(descriptor: int, *how: Any) -> writer.Written:
        written = real(descriptor, *how)
        place = {
            "head": 20,
            "copied": written.copied[0].place if written.copied else 0,
            "computed": written.computed[0].place if written.computed else 0,
        }[where]
        byte = os.pread(descriptor, 1, place)[0]
        os.pwrite(descriptor, bytes([byte ^ 1]), place)
        return written

    monkeypatch.setattr("lora_convert.operations.applying.write_tensor_file", flipping)
    out = tmp_path / "o.safetensors"
    with pytest.raises(VerificationError, match="reads back differently"):
        lora_convert.convert(str(peft_folder(tmp_path / "a")), "kohya", output=str(out))
    assert not out.exists()
    if where == "head":
        with pytest.raises(VerificationError):
            lora_convert.convert(str(tmp_path / "a"), "kohya", output=str(out), verify=False)


def test_a_byte_flipped_in_a_document_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the proof is skipped, and in fields that no proof looks at."""
    source = peft_folder(tmp_path / "a", base_model_name_or_path="someone/model")
    kohya = lora_convert.convert(str(source), "kohya", output=str(tmp_path / "k.safetensors"))
    for verify in (True, False):
        with monkeypatch.context() as patch:

            def flipping(descriptor: int, data: bytes, place: int) -> None:
                flipped = data.replace(b"LORA", b"LOSA") if data.startswith(b"{") else data
                write_at(descriptor, flipped, place)

            patch.setattr(writer, "write_at", flipping)
            with pytest.raises(VerificationError, match="the document reads back differently"):
                lora_convert.convert(
                    kohya.output, "peft", output=str(tmp_path / "o"), verify=verify
                )
        assert sorted(os.listdir(tmp_path)) == ["a", "k.safetensors"]


def test_a_source_that_changes_meanwhile_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = peft_folder(tmp_path / "a")
    weights = source / "adapter_model.safetensors"
    real = writer.write_tensor_file

    def touching(*how: Any) -> writer.Written:
        written = real(*how)
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        os.utime(weights, ns=(1, 1))
        return written

    monkeypatch.setattr("lora_convert.operations.applying.write_tensor_file", touching)
    with pytest.raises(LoraConvertError, match="changed while it was read"):
        lora_convert.convert(str(source), "kohya", output=str(tmp_path / "o"))
    assert not (tmp_path / "o").exists() or files_in(tmp_path / "o") == set()


def test_a_source_cut_while_it_is_read(tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a")
    weights = source / "adapter_model.safetensors"
    with lora_convert.plan_convert(
        str(source), "kohya", output=str(tmp_path / "o.safetensors")
    ) as plan:
        os.truncate(weights, weights.stat().st_size - 10)
        with pytest.raises(
            LoraConvertError, match=r"cut while it was read|changed while it was read"
        ):
            plan.apply()
    assert not (tmp_path / "o.safetensors").exists()


LIMITED = """
import resource, sys
import lora_convert as lc
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    lc.convert(sys.argv[1], "diffusers", output=sys.argv[2], verify=False)
except lc.LoraConvertError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
@pytest.mark.parametrize("limit", [0, 1, 1000, 5000])
def test_a_limit_on_file_size(limit: int, tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a", width=1024)
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", LIMITED, str(source), str(out / "o.safetensors"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert re.match(r"OutputError .*cannot be written: File too large", done.stdout), done
    assert done.stderr == ""
    assert os.listdir(out) == []
