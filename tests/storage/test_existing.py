"""Outputs that are there already, in any state."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import lora_convert
from lora_convert.errors import DestinationExistsError
from tests.storage.making import peft_folder


def spoilt(data: bytes) -> bytes:
    """As many bytes, and not UTF-8."""
    return b"\xff" + data[1:]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a byte flipped at the end": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "not UTF-8": spoilt,
    "cut": lambda data: data[:-1],
    "longer": lambda data: data + b" ",
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_is_refused_then_replaced(change: str, name: str, tmp_path: Path) -> None:
    source, out = peft_folder(tmp_path / "a"), tmp_path / "out"
    kohya = lora_convert.convert(
        str(source), "kohya", output=str(tmp_path / "k.safetensors")
    ).output
    assert lora_convert.convert(kohya, "peft", output=str(out)).status == "written"
    for force in (False, True):
        assert (
            lora_convert.convert(kohya, "peft", output=str(out), force=force).status == "unchanged"
        )
    whole = (out / name).read_bytes()
    (out / name).write_bytes(CHANGES[change](whole))
    with pytest.raises(DestinationExistsError):
        lora_convert.convert(kohya, "peft", output=str(out))
    assert (out / name).read_bytes() == CHANGES[change](whole)
    assert lora_convert.convert(kohya, "peft", output=str(out), force=True).status == "written"
    assert (out / name).read_bytes() == whole


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    source, out = peft_folder(tmp_path / "a"), tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("mine")
    lora_convert.convert(str(source), "kohya", output=str(out))
    lora_convert.convert(str(out), "peft", output=str(out), force=True)
    assert (out / "README.md").read_text() == "mine"
    assert len(os.listdir(out)) == 4


def test_a_folder_under_the_file_s_name_is_never_replaced(tmp_path: Path) -> None:
    source, out = peft_folder(tmp_path / "a"), tmp_path / "o.safetensors"
    out.mkdir()
    for force in (False, True):
        with pytest.raises(DestinationExistsError):
            lora_convert.convert(str(source), "kohya", output=str(out), force=force)
    assert out.is_dir()


@pytest.mark.skipif(os.name == "nt", reason="POSIX only")
def test_a_fifo_under_the_file_s_name_is_not_opened(tmp_path: Path) -> None:
    source, out = peft_folder(tmp_path / "a"), tmp_path / "o.safetensors"
    os.mkfifo(out)
    with pytest.raises(DestinationExistsError):
        lora_convert.convert(str(source), "kohya", output=str(out))
    lora_convert.convert(str(source), "kohya", output=str(out), force=True)
    assert out.is_file()
