"""Processes that train one LoRA together, as torchrun and accelerate start them; gloo, on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.training.reading import bits, metrics

TOGETHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def together(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in two processes."""
    command = [sys.executable, *TOGETHER, "-m", "lora_convert_train", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_two_processes_are_one_training(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    """Each image is seen once an epoch, one speaks and writes, and it goes on bit for bit."""
    whole, parts = str(tmp_path / "whole"), str(tmp_path / "parts")
    asked = [
        *("train", "--train-data-dir", str(photos), "--device", "cpu", "--mixed-precision", "no"),
        *("--pretrained-model-name-or-path", str(base("sd1")), "--resolution", "32"),
        *("--learning-rate", "1e-3", "--save-steps", "2"),
    ]
    done = together(*asked, "--output-dir", whole, "--max-train-steps", "4")
    assert done.stdout.count("finished") == 1
    assert done.stderr.count("step 4/4") == 1
    lines = metrics(tmp_path / "whole")
    assert [line["images"] for line in lines] == [2] * 4
    assert [line["epoch"] for line in lines] == [0, 0, 1, 1], "four photos"
    together(*asked, "--output-dir", parts, "--max-train-steps", "2")
    together("resume", parts, "--max-train-steps", "4")
    assert bits(tmp_path / "parts", 4) == bits(tmp_path / "whole", 4)
    assert metrics(tmp_path / "parts") == lines
