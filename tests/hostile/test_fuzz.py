"""The campaign of mutated files, shortly: that it runs, finds nothing, and would find something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lora_convert.storage import checkpoint

if os.name == "nt":
    pytest.skip("times are limited by signals", allow_module_level=True)

from tests.hostile import fuzz

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("container", ["safetensors", "torch"])
def test_mutated_files_give_a_result_or_a_typed_error(container: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.fuzz", "--container", container, "--inputs", "1500"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accepted" in done.stdout
    assert done.stdout.endswith("0 problems\n")


def fails(*given: object) -> None:
    raise KeyError("planted")


def test_an_untyped_error_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fuzz.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(checkpoint, "read_scalars", fails)
    done = fuzz.run("safetensors", 5, 0, 60)
    assert "planted" in done.problems[0]
    assert (tmp_path / "fuzz-safetensors-1").exists()


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fuzz.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fuzz, "bytes_of", lambda tensor, checkpoint: b"")
    assert "DifferenceError" in fuzz.run("safetensors", 5, 0, 60).problems[0]
