"""Paths that are no files, folders of nothing, and files that are other things than they are called."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

import lora_convert
from lora_convert.errors import (
    AmbiguousCheckpointError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
)
from tests.hostile.answering import answer
from tests.storage.making import adapter_tensors, content, peft_folder

needs_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files only")


@needs_posix
def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    os.mkfifo(path)
    with pytest.raises(CorruptCheckpointError, match="not a regular file"):
        lora_convert.inspect(str(path))
    assert answer(["to-peft", str(path)], process=True).exit_code == 1


@needs_posix
def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("x.safetensors")
        with pytest.raises(CorruptCheckpointError, match="not a regular file"):
            lora_convert.inspect("x.safetensors")


@needs_posix
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused_without_being_opened(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    path.symlink_to(device)
    opened: list[object] = []
    monkeypatch.setattr("lora_convert.storage.files.os.open", lambda *how: opened.append(how))
    with pytest.raises(CorruptCheckpointError, match="not a regular file"):
        lora_convert.inspect(str(path))
    assert not opened


def test_a_folder_called_like_a_file_is_a_folder_of_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "x.safetensors"
    folder.mkdir()
    with pytest.raises(CheckpointNotFoundError, match="holds no weights"):
        lora_convert.inspect(str(folder))
    assert answer(["inspect", str(folder)]).exit_code == 2


def test_a_folder_called_like_a_file_within_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").mkdir()
    with pytest.raises(
        CorruptCheckpointError, match=r"adapter_model\.safetensors: is not a regular file"
    ):
        lora_convert.inspect(str(tmp_path))


@pytest.mark.parametrize("name", ["no-such-file", "no/such/folder", "a\0b", "x" * 300])
def test_what_is_not_there_is_a_usage_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError):
        lora_convert.inspect(str(tmp_path / name))
    if "\0" not in name:  # no command line can hold one
        assert answer(["inspect", str(tmp_path / name)]).exit_code == 2


@needs_posix
def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "dangling.safetensors").symlink_to("gone")
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    with pytest.raises(CheckpointNotFoundError):
        lora_convert.inspect(str(tmp_path / "dangling.safetensors"))
    with pytest.raises(CorruptCheckpointError, match="cannot be opened"):
        lora_convert.inspect(str(tmp_path / "loop.safetensors"))


@needs_posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content(adapter_tensors()))
    path.chmod(0)
    with pytest.raises(CorruptCheckpointError, match="Permission denied"):
        lora_convert.inspect(str(path))
    assert answer(["inspect", str(path)]).exit_code == 1


def test_an_empty_folder_and_one_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "notes.txt").write_text("no weights here")
    for folder in (tmp_path, tmp_path / "sub"):
        for arguments in (["inspect", str(folder)], ["to-peft", str(folder)]):
            result = answer(arguments)
            assert result.exit_code == 2
            assert "holds no weights" in result.stderr


def test_left_overs_are_no_weights(tmp_path: Path) -> None:
    left = tmp_path / ".unet.0123456789ab.lora-convert-tmp"
    peft_folder(left)
    with pytest.raises(CheckpointNotFoundError):
        lora_convert.inspect(str(tmp_path))


def test_two_files_of_one_rank_are_listed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.safetensors").write_bytes(content(adapter_tensors()))
    with pytest.raises(AmbiguousCheckpointError) as caught:
        lora_convert.inspect(str(tmp_path))
    assert caught.value.choices == ("one.safetensors", "two.safetensors")
    assert answer(["verify", str(tmp_path), str(tmp_path)]).exit_code == 4


def test_reading_asks_for_no_right_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every open for writing is of a temporary."""
    source = peft_folder(tmp_path / "a")
    written: list[str] = []
    real = os.open

    def watched(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            written.append(str(path))
        return real(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", watched)
    lora_convert.convert(str(source), "kohya", output=str(tmp_path / "out"))
    lora_convert.verify(str(source), str(tmp_path / "out"))
    assert len(written) == 1
    assert written[0].endswith(".lora-convert-tmp")
    assert stat.S_ISREG(os.stat(source / "adapter_model.safetensors").st_mode)
