"""lora-convert trash: what is there, back again, or gone for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_convert.operations.trashing import trash_of, trashed
from lora_convert.storage.identity import state_of
from lora_convert.storage.locks import held
from lora_convert.storage.trash import Item
from tests.cli.test_runs import run
from tests.operations.run_examples import accelerate

STEPS = ("checkpoints/checkpoint-500", "checkpoints/checkpoint-1000")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    accelerate(tmp_path / "run")
    (tmp_path / "run/metrics.jsonl").write_text("")
    return tmp_path / "run"


def put(folder: Path, *names: str) -> Item:
    planned = {name: state_of(str(folder / name)) for name in names}
    return trash_of(str(folder)).put(planned, why="a test", command="test")


def test_list_undo_and_list_again(folder: Path) -> None:
    first, second = put(folder, STEPS[0]), put(folder, STEPS[1], "metrics.jsonl")
    listed = [
        json.loads(line) for line in run("trash", "list", folder, "--json").stdout.splitlines()
    ]
    assert [one["id"] for one in listed] == [first.id, second.id]
    assert listed[1]["entries"][0] == {"name": STEPS[1], "size": 28, "present": True}
    assert listed[0]["freed"] == 28
    shown = run("trash", "list", folder).stdout.splitlines()
    assert shown[2].startswith(f"{second.id}  0 seconds  ")
    assert shown[2].endswith(f"{STEPS[1]} and 1 more  a test")
    assert run("trash", "list", folder, "-q").stdout.split() == [first.id, second.id]
    back = run("trash", "undo", folder)
    assert back.stdout.splitlines() == [f"back: {STEPS[1]}", "back: metrics.jsonl"]
    assert (folder / STEPS[1]).is_dir()
    done = json.loads(run("trash", "undo", folder, first.id, "--json").stdout)
    assert done == {"id": first.id, "status": "undone", "names": [STEPS[0]]}
    for command in ("list", "undo"):
        told = run("trash", command, folder)
        assert (told.exit_code, told.stdout) == (0, "")
        assert "nothing in the trash" in told.stderr


def test_nothing_is_removed_unasked(folder: Path) -> None:
    first, second = put(folder, STEPS[0]), put(folder, STEPS[1])
    refused = run("trash", "empty", folder)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert len(trashed(str(folder))) == 2
    done = json.loads(run("trash", "empty", folder, first.id, "--yes", "--json").stdout)
    assert done == {"removed": [first.id], "freed": 28}
    assert [one.item for one in trashed(str(folder))] == [second]
    assert run("trash", "empty", folder, "-y").stdout.strip() == "removed: 1 items, 28 B free"
    assert not (folder / ".trash").exists()
    assert run("trash", "empty", folder).exit_code == 0


def test_an_id_that_is_not_there_is_exit_2_and_the_others_stay(folder: Path) -> None:
    item = put(folder, STEPS[0])
    for command in (("undo", "x"), ("empty", item.id, "x", "--yes")):
        refused = run("trash", command[0], folder, *command[1:])
        assert refused.exit_code == 2
        assert item.id in refused.stderr
    assert len(trashed(str(folder))) == 1


def test_what_has_a_hard_link_elsewhere_frees_nothing(folder: Path) -> None:
    (folder / "copy").hardlink_to(folder / STEPS[0] / "model.safetensors")
    put(folder, STEPS[0])
    (one,) = trashed(str(folder))
    assert (one.item.size, one.freed) == (28, 21)


def test_names_in_the_trash_cannot_steer_a_terminal(folder: Path) -> None:
    (folder / "x\x1b[31m\ny").write_text("")
    put(folder, "x\x1b[31m\ny")
    for command in ("list", "undo"):
        assert "\x1b" not in run("trash", command, folder).stdout


def test_a_run_that_another_command_holds_is_exit_5(folder: Path) -> None:
    item = put(folder, STEPS[0])
    with held(str(folder)):
        for command in (("undo",), ("empty", "--yes")):
            assert run("trash", command[0], folder, *command[1:]).exit_code == 5
    assert [one.item for one in trashed(str(folder))] == [item]
