"""Sources stay as they are: bytes, time and identity, whatever is done beside them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.hostile.answering import answer
from tests.storage.making import peft_folder


def state(folder: Path) -> dict[str, tuple[str, int, int, int]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = (digest, status.st_mtime_ns, status.st_ino, status.st_mode)
    return found


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
