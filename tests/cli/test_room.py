"""Every command that writes refuses a disk that cannot hold its plan, before it writes anything."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import save_file

from lora_convert.cli._app import COMMANDS
from lora_convert.storage import atomic
from tests.hostile.answering import answer
from tests.operations.test_space import TINY
from tests.pipelines import WEIGHTS, component, tree, write_base, write_run, write_wrapped_run

READING = {"inspect", "check", "verify", "diff", "runs", "formats", "space", "push"}
MOVING = {"prune", "trash"}
"""Renaming takes no room."""


class Writing(NamedTuple):
    """A command that writes, as it is typed in a folder that has a run and its base."""

    arguments: str


WRITING = {
    "convert": Writing("convert --to kohya run@500 -o new/style.safetensors"),
    "to-diffusers": Writing("to-diffusers tiny/checkpoints/checkpoint-500 -o new/folder"),
    "to-peft": Writing("to-peft run@500 -o new/folder"),
    "to-kohya": Writing("to-kohya run@500"),
    "to-comfyui": Writing("to-comfyui run@500"),
    "pipeline": Writing("pipeline run@500 -o new/pipeline"),
    "merge": Writing(
        "merge run@500 --into base/unet/diffusion_pytorch_model.safetensors -o new.safetensors"
    ),
    "resize": Writing("resize run@500 --rank 1"),
    "scale": Writing("scale run@500 --scale 0.5"),
    "bake": Writing("bake run@500"),
    "select": Writing("select run@500 --modules *attn1*"),
    "drop": Writing("drop run@500 --modules *to_q"),
    "combine": Writing("combine run@500 run@1000:0.5 --to kohya -o new.safetensors"),
    "extract": Writing("extract tuned base/unet --rank 2 --architecture sd1"),
    "ema": Writing("ema run"),
    "bundle": Writing("bundle run@500 -o new/kit"),
    "metadata": Writing("metadata set run@500 title=x -o new/style.safetensors"),
    "metadata, in place": Writing("metadata set run@500 title=x"),
    "batch": Writing("batch run"),
    "compact": Writing("compact wrapped --yes"),
    "restore": Writing("restore compacted --yes"),
    "batch, LoRA files": Writing("batch run --to kohya --to peft"),
    "batch, several at once": Writing("batch run --jobs 2"),
    "batch, several runs": Writing("batch run other"),
}


def test_every_command_reads_or_writes() -> None:
    assert {row.partition(",")[0] for row in WRITING} | READING | MOVING == {*COMMANDS}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = write_base(tmp_path / "base")
    write_run(tmp_path / "run", base)
    write_run(tmp_path / "other", base)
    shutil.copytree(TINY, tmp_path / "tiny")
    (tmp_path / "tuned").mkdir()
    weights = {name: tensor + np.float32(1) for name, tensor in component("unet").items()}
    save_file(weights, tmp_path / "tuned" / WEIGHTS["unet"])
    write_wrapped_run(tmp_path / "wrapped", base, base)
    write_wrapped_run(tmp_path / "compacted", base, base)
    assert answer(["compact", str(tmp_path / "compacted"), "--yes"]).exit_code == 0
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", WRITING)
def test_a_disk_without_room_is_refused_with_both_numbers(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = WRITING[command].arguments.split()
    before = tree(place)
    folders = {*place.rglob("*")}
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "free_space", lambda folder: 1)
        refused = answer(arguments)
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert " bytes, 1 are free" in refused.stderr
    needed = int(refused.stderr.split(" needs ")[1].split()[0].replace(",", ""))
    assert tree(place) == before
    assert {*place.rglob("*")} == folders
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "free_space", lambda folder: needed - 1)
        assert answer(arguments).exit_code == 1
        assert tree(place) == before
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "free_space", lambda folder: needed)
        assert answer(arguments).exit_code == 0
    assert tree(place) != before
