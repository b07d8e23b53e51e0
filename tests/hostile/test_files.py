"""Every broken file has one clear answer: a typed error and its exit code, through the real command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import safetensors

import lora_convert
from fixtures.hostile.make import CONTAINERS, FOREIGN_KINDS, HERE, MEANINGS, ODDITIES
from lora_convert.errors import (
    CorruptCheckpointError,
    IncompleteModuleError,
    LoraConvertError,
    ShapeError,
    UnexplainedKeysError,
    UnknownFormatError,
)
from tests.hostile.answering import answer

STRICTER = {
    "header-names-a-tensor-twice",  # the library takes the last of the two
    "tensor-field-unknown",
}
"""What the library reads and this package does not."""


def file(name: str) -> str:
    return str(HERE / f"{name}.safetensors")


def accepted_by_the_library(data: bytes) -> bool:
    try:
        safetensors.deserialize(data)
    except safetensors.SafetensorError:
        return False
    return True


def test_stored_files_are_what_the_script_makes() -> None:
    stored = {path.stem: path.read_bytes() for path in HERE.glob("*.safetensors")}
    assert stored == CONTAINERS | FOREIGN_KINDS | MEANINGS | ODDITIES


@pytest.mark.parametrize("name", CONTAINERS)
def test_broken_containers_are_refused_by_every_command(name: str, tmp_path: Path) -> None:
    path = file(name)
    with pytest.raises(CorruptCheckpointError) as caught:
        lora_convert.inspect(path)
    assert str(caught.value).startswith(path)
    out = str(tmp_path / "out.safetensors")
    for arguments in (["inspect", path], ["to-diffusers", path, "-o", out], ["verify", path, path]):
        result = answer(arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {path}: ")
        assert not result.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", CONTAINERS)
def test_broken_containers_answer_json_with_the_error(name: str) -> None:
    result = answer(["inspect", "--json", file(name)])
    assert json.loads(result.stdout)["error"]["type"] == "CorruptCheckpointError"
    assert result.exit_code == 1


@pytest.mark.parametrize("name", FOREIGN_KINDS)
def test_other_kinds_are_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        lora_convert.inspect(file(name))
    assert name.split("-", maxsplit=1)[0] in caught.value.known_as.lower()
    assert caught.value.path == file(name)


@pytest.mark.parametrize("name", [*CONTAINERS, *FOREIGN_KINDS])
def test_what_is_refused_is_refused_by_the_library_too(name: str) -> None:
    assert accepted_by_the_library((CONTAINERS | FOREIGN_KINDS)[name]) == (name in STRICTER)


@pytest.mark.parametrize("name", MEANINGS)
def test_meaningless_adapters_can_be_looked_at_but_not_converted(name: str, tmp_path: Path) -> None:
    path = file(name)
    assert lora_convert.inspect(path, health=True).format in {"kohya", "diffusers"}
    wanted = IncompleteModuleError if name == "up-missing" else ShapeError
    with pytest.raises(wanted, match=r"attn1\.to_k"):
        lora_convert.convert(path, "peft", output=str(tmp_path / "out"))
    result = answer(["to-peft", path, "-o", str(tmp_path / "out")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert answer(["inspect", "--health", path]).exit_code == 0
    assert os.listdir(tmp_path) == []


def test_an_absent_alpha_is_assumed_and_said(tmp_path: Path) -> None:
    with lora_convert.plan_convert(
        file("alpha-missing"), "peft", output=str(tmp_path / "o")
    ) as plan:
        assert [loss.kind for loss in plan.losses] == ["scale assumed"]
    result = answer(
        ["to-peft", file("alpha-missing"), "--losses", "refuse", "-o", str(tmp_path / "o")]
    )
    assert result.exit_code == 5


def test_a_sound_file_is_not_taken_for_a_pickle_by_its_length(tmp_path: Path) -> None:
    """640 is 0x0280: its eight bytes begin as a pickle does."""
    assert lora_convert.inspect(file("sound-header-of-640-bytes")).explained == 2


def test_names_do_not_steer_the_terminal(tmp_path: Path) -> None:
    path = file("names-steer-the-terminal")
    for arguments in (["inspect", "--names", path], ["to-peft", path, "-o", str(tmp_path / "o")]):
        result = answer(arguments)
        assert result.exit_code == 4
        shown = result.stdout + result.stderr
        assert all(ch.isprintable() or ch == "\n" for ch in shown)
        assert "\\x1b" in shown or "\\u202e" in shown
    with pytest.raises(UnexplainedKeysError):
        lora_convert.convert(path, "peft", output=str(tmp_path / "o"))


def test_a_whole_process_shows_no_traceback() -> None:
    for name in ("bytes-none", "header-nested-deeply", "git-lfs-pointer"):
        result = answer(["inspect", file(name)], process=True)
        assert result.exit_code == 1
        assert "Traceback" not in result.stderr
        assert result.stderr.startswith("error: ")


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    whole = Path(file("alpha-missing")).read_bytes()
    path = tmp_path / "cut.safetensors"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptCheckpointError):
            lora_convert.inspect(str(path))
    path.write_bytes(whole)
    assert lora_convert.inspect(str(path)).format == "kohya"


def test_a_header_of_too_many_values_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "bloated.safetensors"
    header = b'{"a":[' + b"[]," * 5_000_000 + b"[]]}"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CorruptCheckpointError, match="more than 4,000,000 values"):
        lora_convert.inspect(str(path))


def test_many_doubles_are_found_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "doubles.safetensors"
    names = [f'"{number % 60_000}":0' for number in range(60_001)]
    header = ("{" + ",".join(names) + "}").encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CorruptCheckpointError, match="the name '0' is there twice"):
        lora_convert.inspect(str(path))


def test_errors_name_the_file_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "ev\x1bil.safetensors"
    path.write_bytes(b"")
    result = answer(["inspect", str(path)])
    assert "\x1b" not in result.stderr
    assert "ev\\x1bil.safetensors" in result.stderr
    with pytest.raises(LoraConvertError):
        lora_convert.inspect(str(path))
