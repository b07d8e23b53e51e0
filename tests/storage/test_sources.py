"""Sources stay as they are: bytes, time and identity, whatever is done beside them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures.hostile.make import CONTAINERS, MEANINGS, ODDITIES
from tests.hostile.answering import answer
from tests.storage.making import peft_folder
from tests.storage.states import state
from tests.storage.tracing import needs_strace, traced

COMMANDS = (
    ["inspect", "{a}"],
    ["inspect", "--health", "--names", "{a}"],
    ["inspect", "--json", "{a}", "{b}"],
    ["verify", "{a}", "{b}"],
    ["to-diffusers", "{a}"],
    ["to-diffusers", "{a}", "--force"],
    ["to-kohya", "{a}", "--dtype", "bf16"],
    ["to-peft", "{a}"],
    ["to-peft", "{a}", "-o", "{a}"],
    ["to-peft", "{a}", "-o", "{a}", "--force"],
    ["to-diffusers", "{b}", "--force"],
    ["convert", "{a}", "--to", "accelerate"],
    ["convert", "{a}", "--to", "peft", "-o", "{weights}", "--force"],
    ["to-diffusers", "{a}", "--dry-run"],
    ["to-diffusers", "{a}", "--no-verify", "--force"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_changes_a_source(command: list[str], tmp_path: Path) -> None:
    first, second = peft_folder(tmp_path / "a"), peft_folder(tmp_path / "b", lora_alpha=8)
    before = state(first) | state(second)
    weights = first / "adapter_model.safetensors"
    answer([word.format(a=first, b=second, weights=weights) for word in command])
    after = state(tmp_path)
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after if "lora-convert-tmp" in path]


@pytest.mark.parametrize(
    "kind", [CONTAINERS, MEANINGS, ODDITIES], ids=["broken", "senseless", "odd"]
)
def test_no_failing_command_changes_a_source(kind: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    for name, data in kind.items():
        (folder / f"{name}.safetensors").write_bytes(data)
    before = state(folder)
    failed = 0
    for path in before:
        for command in (
            ["inspect", "--health", "--names", path],
            ["to-peft", path, "-o", str(tmp_path / "out"), "--force"],
            ["to-peft", path, "-o", str(folder / "x.safetensors")],
            ["to-kohya", path, "-o", path, "--force"],
            ["to-kohya", path, "-o", str(folder), "--force", "--no-verify", "--dry-run"],
            ["verify", path, path],
        ):
            failed += answer(command).exit_code != 0
    assert failed > len(kind)
    assert {path: now for path, now in state(folder).items() if path in before} == before


@needs_strace
@pytest.mark.parametrize(
    "command",
    [["to-kohya"], ["to-kohya", "--dtype", "bf16", "--force"], ["inspect", "--health"], ["verify"]],
    ids=" ".join,
)
def test_no_call_does_more_to_a_source_than_read_it(command: list[str], tmp_path: Path) -> None:
    """The system's own record: no open for writing, no map, no other name, no new mode or time."""
    source = peft_folder(tmp_path / "a")
    out = str(tmp_path / "o.safetensors")
    arguments = [str(source)] if command[0] == "verify" else ["-o", out]
    done = traced(
        [*command, str(source), *(arguments if command[0] != "inspect" else [])], cwd=tmp_path
    )
    assert done.exit_code == 0, done.stderr
    inside = str(source) + os.sep
    assert any(path.startswith(inside) for path in done.opened(writing=False))
    for call in done.calls:
        touched = [path for path in (*call.texts, *call.places) if path.startswith(inside)]
        if touched and call.name != "copy_file_range":
            assert call.name == "openat", call
            assert "O_RDONLY" in call.arguments, call
        elif touched:
            assert call.places[0] in touched, call
            assert call.places[1] not in touched, call


def test_a_source_may_be_read_only(tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a")
    for path in source.iterdir():
        path.chmod(0o444)
    source.chmod(0o555)
    try:
        assert answer(["to-kohya", str(source), "-o", str(tmp_path / "o")]).exit_code == 0
    finally:
        source.chmod(0o755)
    assert os.listdir(tmp_path / "o")
