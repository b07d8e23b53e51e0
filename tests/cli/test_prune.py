"""lora-convert prune: the plan, the question, the exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.test_runs import run
from tests.operations.run_examples import accelerate, metrics, touch
from tests.operations.test_idle import aged
from tests.storage.test_trash import contents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    accelerate(path)
    touch(path / "checkpoint_pipelines/checkpoint-500/model_index.json", "{}")
    metrics(path, {500: 0.3, 1000: 0.1, 1500: 0.2})
    aged(path)
    return path


def test_the_plan_is_the_same_before_and_with_dry_run_and_undo_brings_all_back(
    folder: Path,
) -> None:
    before = contents(folder)
    plan = run("prune", folder, "--keep-best", "1", "--dry-run")
    assert plan.exit_code == 0
    assert plan.stdout.splitlines() == [
        "keep:  checkpoint-1000: loss 0.1",
        "keep:  checkpoint-1500: newest",
        "trash: checkpoint-500: 30 B, with checkpoint_pipelines/checkpoint-500",
        "frees 30 B once the trash is emptied",
    ]
    assert contents(folder) == before
    done = run("prune", folder, "--keep-best", "1", "--yes")
    assert done.exit_code == 0
    assert done.stdout.startswith(plan.stdout)
    assert f"trash undo {folder}" in done.stdout
    again = run("prune", folder, "--keep-best", "1", "--yes")
    assert (again.exit_code, "nothing to prune" in again.stderr) == (0, True)
    assert run("trash", "undo", folder).exit_code == 0
    assert contents(folder) == before


def test_nothing_is_done_unasked(folder: Path) -> None:
    before = contents(folder)
    refused = run("prune", folder, "--keep-last", "1")
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    for nothing in ((), ("--pin", "500"), ("--keep-last", "0"), ("--keep-last", "1", "--pin", "7")):
        assert run("prune", folder, *nothing, "--yes").exit_code == 2
    assert contents(folder) == before


def test_json_says_what_stays_what_goes_and_under_which_id(folder: Path) -> None:
    plan = json.loads(run("prune", folder, "--keep-last", "1", "--dry-run", "--json").stdout)
    done = json.loads(run("prune", folder, "--keep-last", "1", "--yes", "--json").stdout)
    item = done["item"]
    assert {**plan, "status": "pruned", "item": item} == done
    assert (folder / ".trash" / item).is_dir()
    assert [one["title"] for one in done["taken"]] == ["checkpoint-500", "checkpoint-1000"]
    again = json.loads(run("prune", folder, "--keep-last", "1", "--yes", "--json").stdout)
    assert (again["status"], again["taken"]) == ("unchanged", [])


def test_dropped_states_are_told_before(folder: Path) -> None:
    done = run("prune", folder, "--drop-resume-state", "--yes")
    assert done.exit_code == 0
    assert "training cannot go on from" in done.stderr
    assert not [*folder.glob("checkpoints/*/optimizer.bin")]
    assert len([*folder.glob("checkpoints/*/model.safetensors")]) == 3


def test_what_is_a_link_is_named_and_the_exit_code_is_3(folder: Path) -> None:
    path = folder / "checkpoints/checkpoint-500"
    path.rename(folder / "elsewhere")
    path.symlink_to("../elsewhere")
    done = run("prune", folder, "--keep-last", "1", "--yes")
    assert done.exit_code == 3
    assert "left:  checkpoint-500" in done.stderr
    assert path.is_symlink()
    assert not (folder / "checkpoints/checkpoint-1000").exists()
    assert run("prune", folder, "--keep-last", "1", "--yes").exit_code == 3


def test_a_run_that_may_train_is_left_alone_without_force(folder: Path) -> None:
    touch(folder / "log.txt")
    before = contents(folder)
    refused = run("prune", folder, "--keep-last", "1", "--yes")
    assert refused.exit_code == 5
    assert "log.txt was written" in refused.stderr
    assert contents(folder) == before
    assert run("prune", folder, "--keep-last", "1", "--yes", "--force").exit_code == 0


def test_names_cannot_steer_a_terminal(tmp_path: Path) -> None:
    for step in (1, 2):
        touch(tmp_path / f"a\x1b[31mb_{step:09d}.safetensors")
    aged(tmp_path)
    done = run("prune", tmp_path, "--keep-last", "1", "--yes")
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert len(os.listdir(tmp_path)) == 2
