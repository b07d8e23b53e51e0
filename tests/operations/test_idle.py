"""A run that may still be training is left alone."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lora_convert.errors import LockedError, RunActiveError
from lora_convert.operations.idle import RECENT, check_idle, reserved
from lora_convert.storage.locks import held
from tests.operations.run_examples import EXAMPLES, touch

HERE = platform.node()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    EXAMPLES["diffusers"].make(tmp_path / "run")
    aged(tmp_path / "run")
    return tmp_path / "run"


def aged(run: Path, seconds: float = 2 * RECENT) -> None:
    """As if nothing had been written for some time."""
    moment = time.time() - seconds
    for path in run.rglob("*"):
        os.utime(path, (moment, moment), follow_symlinks=False)


def said(run: Path, **fields: object) -> None:
    (run / "run.json").write_text(json.dumps(fields))
    aged(run)


def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_that_nobody_wrote_to_is_idle(folder: Path) -> None:
    check_idle(str(folder))


@pytest.mark.parametrize(
    "name", ["new", "checkpoint-500/pytorch_lora_weights.safetensors", "logs/deep/er/events"]
)
def test_a_recent_write_is_told_by_name_and_age(folder: Path, name: str) -> None:
    written = touch(folder / name)
    moment = written.stat().st_mtime
    with pytest.raises(RunActiveError) as raised:
        check_idle(str(folder), now=moment + 42)
    assert f"{name} was written 42 seconds ago" in raised.value.what
    assert "wait 258 seconds" in raised.value.hint
    assert "--force" in raised.value.hint
    with pytest.raises(RunActiveError, match="in the future"):
        check_idle(str(folder), now=moment - 10)
    with pytest.raises(RunActiveError):
        check_idle(str(folder), now=moment + RECENT - 1)
    check_idle(str(folder), now=moment + RECENT)
    check_idle(str(folder), now=moment, force=True)


@pytest.mark.parametrize(
    "name",
    [
        ".trash/x/0/optimizer.bin",
        "compacted_bases/x",
        "checkpoint_pipelines/checkpoint-500/model_index.json",
        "checkpoint_loras/checkpoint-500.safetensors",
        "final_pipeline/model_index.json",
        "style-final_pipeline/model_index.json",
        "checkpoint-500/model.safetensors.recipe",
        "checkpoint-500/model.adapter.safetensors",
        ".lora-convert-lock",
        ".x.0123456789ab.lora-convert-tmp",
    ],
)
def test_what_this_package_wrote_is_no_sign(folder: Path, name: str) -> None:
    touch(folder / name)
    check_idle(str(folder))


def test_a_link_to_what_is_written_elsewhere_is_no_sign(folder: Path) -> None:
    touch(folder.parent / "elsewhere/new")
    (folder / "way").symlink_to(folder.parent / "elsewhere")
    aged(folder)
    check_idle(str(folder))


@pytest.mark.parametrize("state", ["finished", "failed", "interrupted"])
def test_a_run_that_says_that_it_has_ended_is_idle(folder: Path, state: str) -> None:
    said(folder, state=state, pid=os.getpid(), host=HERE)
    touch(folder / "new")
    check_idle(str(folder))


@pytest.mark.parametrize(
    ("pid", "host"),
    [("own", "here"), (1, "here"), ("dead", "elsewhere"), ("dead", None), (None, "here"), ("x", "here"),
     (True, "here"), (0, "here"), (-1, "here"), (10**30, "here")],
)  # fmt: skip
def test_a_process_that_may_live_is_left_alone(folder: Path, pid: object, host: object) -> None:
    number = {"own": os.getpid(), "dead": dead()}.get(str(pid), pid)
    said(folder, state="running", pid=number, host=HERE if host == "here" else host)
    with pytest.raises(RunActiveError, match=r"run\.json"):
        check_idle(str(folder))
    check_idle(str(folder), force=True)


def test_a_process_that_is_dead_runs_nothing_but_its_last_writes_count(folder: Path) -> None:
    said(folder, state="running", pid=dead(), host=HERE)
    check_idle(str(folder))
    touch(folder / "new")
    with pytest.raises(RunActiveError, match="new was written"):
        check_idle(str(folder))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"state": "resting"}', '{"state": {}}', '{"state": []}', "\0"]
)
def test_a_document_that_says_nothing_is_passed_over(folder: Path, text: str) -> None:
    (folder / "run.json").write_text(text)
    aged(folder)
    check_idle(str(folder))
    touch(folder / "new")
    with pytest.raises(RunActiveError):
        check_idle(str(folder))


@pytest.mark.parametrize("inner", ["", "checkpoint_pipelines"])
@pytest.mark.parametrize("force", [False, True])
def test_a_run_that_another_command_of_ours_writes_to_is_locked(
    folder: Path, inner: str, force: bool
) -> None:
    (folder / "checkpoint_pipelines").mkdir()
    with held(str(folder / inner)), pytest.raises(LockedError), reserved(str(folder), force=force):
        pass
    with reserved(str(folder), force=force), pytest.raises(LockedError), held(str(folder / inner)):
        pass
