"""The long campaigns, shortly: that they run, find nothing, and would find something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.disks import cannot_mount

if os.name == "nt":
    pytest.skip("processes are forked", allow_module_level=True)

ROOT = Path(__file__).parents[2]


def run(name: str, *options: str) -> str:
    """What a campaign prints; fails where it found a problem."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.storage.{name}", *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(bool(cannot_mount()), reason=cannot_mount())
def test_the_power_is_cut() -> None:
    told = run("power_campaign", "--cuts", "16")
    assert "8 after exit 0: whole" in told
    assert "control: lost" in told


def test_disks_are_full() -> None:
    told = run("full_disk_campaign", "--sizes", "2")
    assert "limit: OutputError" in told


def test_writers_race() -> None:
    assert "one winner each" in run("race_campaign", "--races", "16")


def test_what_shares_replaces_and_records_is_killed() -> None:
    told = run("store_campaign", "--kills", "60")
    assert "60 kills at 60 of" in told
    assert "replace a folder: whole" in told


def test_saves_of_training_loops_are_killed() -> None:
    told = run("save_campaign", "--kills", "24")
    assert "24 kills at 24 of" in told
    assert "whole; every next save succeeded" in told


def test_batches_are_killed() -> None:
    told = run("batch_campaign", "--kills", "12")
    assert "12 kills at 12 of" in told


@pytest.mark.skipif(bool(cannot_mount()), reason=cannot_mount())
def test_disks_are_full_under_batches() -> None:
    assert "OutputError" in run("full_batch_campaign", "--sizes", "2")


def test_a_replacement_in_two_steps_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_convert.storage import atomic
    from tests.storage.store_campaign import WORKS, Campaign

    def in_steps(path: str, target: str) -> bool:
        os.rename(target, f"{path}-old")
        os.rename(path, target)
        os.rename(f"{path}-old", path)
        return True

    monkeypatch.setattr(atomic, "exchange", in_steps)
    (work,) = [work for work in WORKS if work.name == "replace a folder"]
    campaign = Campaign(tmp_path)
    for point in campaign.points(work):
        campaign.kill(*point)
    assert any("half of folder" in problem for problem in campaign.problems)


def test_what_takes_files_away_and_back_is_killed() -> None:
    told = run("reclaim_campaign", "--kills", "30", "--seed", "7")
    assert "30 kills at 30 of" in told
    assert "compact: between" in told
    assert "nothing lost" in told


def test_a_trash_that_lists_after_the_moves_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_convert.storage import trash
    from tests.storage.reclaim_campaign import SCENARIOS, Campaign

    real = trash.write_item

    def unlisted(*how: object) -> trash.Item:
        item = real(*how)  # type: ignore[arg-type]
        folder = Path(how[0].path, item.id)  # type: ignore[attr-defined]
        (folder / "manifest.json").rename(folder.parent / "manifest.json")
        return item

    monkeypatch.setattr(trash, "write_item", unlisted)
    campaign = Campaign(tmp_path)
    for point in campaign.points(SCENARIOS[0])[-4:]:
        campaign.kill(*point)
    assert any("lost or changed" in problem for problem in campaign.problems)
