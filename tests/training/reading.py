"""What trainings left, to be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def bits(run: Path, step: int) -> dict[str, bytes]:
    """The files of a checkpoint that hold numbers."""
    folder = run / "checkpoints" / f"checkpoint-{step}"
    names = ("adapter_model.safetensors", "optimizer.bin", "scheduler.bin")
    found = (path for name in names for path in sorted(folder.rglob(name)))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of each step, without the times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
