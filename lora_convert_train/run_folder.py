"""A run's folder: what lies where, its manifest, and a line of metrics for each step."""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Any, NamedTuple

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class RunFolder(NamedTuple):
    """Paths of a run."""

    path: str

    @property
    def manifest(self) -> str:
        """``run.json``."""
        return os.path.join(self.path, "run.json")

    @property
    def config(self) -> str:
        """``config.toml``: the resolved settings."""
        return os.path.join(self.path, "config.toml")

    @property
    def metrics(self) -> str:
        """``metrics.jsonl``: a line for each optimizer step."""
        return os.path.join(self.path, "metrics.jsonl")

    @property
    def checkpoints(self) -> str:
        """The folder of checkpoints."""
        return os.path.join(self.path, "checkpoints")

    @property
    def weights(self) -> str:
        """``lora_weights``: the result, in the formats that programs read."""
        return os.path.join(self.path, "lora_weights")

    @property
    def samples(self) -> str:
        """Images drawn on the way."""
        return os.path.join(self.path, "samples")

    @property
    def name(self) -> str:
        """The run's name: its folder's."""
        return os.path.basename(os.path.abspath(self.path))

    def checkpoint(self, step: int) -> str:
        """The folder of a step's checkpoint."""
        return os.path.join(self.checkpoints, f"checkpoint-{step}")

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, the newest first."""
        names = os.listdir(self.checkpoints) if os.path.isdir(self.checkpoints) else []
        found = (match for match in map(_CHECKPOINT.fullmatch, names) if match)
        return sorted((int(match[1]) for match in found), reverse=True)

    def write(self, path: str, text: str) -> None:
        """Replace a document; it is the old or the new one whenever the power goes."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        folder, name = os.path.split(path)
        staged = os.path.join(folder, f".{name}.new")  # what a killed run left is written over
        try:
            with open(staged, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(staged, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(staged)
            raise

    def read_manifest(self) -> dict[str, Any]:
        """What ``run.json`` says; empty where there is none."""
        with (
            contextlib.suppress(OSError, ValueError),
            open(self.manifest, encoding="utf-8") as file,
        ):
            found = json.load(file)
            return found if isinstance(found, dict) else {}
        return {}

    def update_manifest(self, **changes: Any) -> None:
        """Change what ``run.json`` says."""
        document = {**self.read_manifest(), **changes}
        self.write(self.manifest, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """The whole lines of the metrics, each a step, in order."""
        found = []
        with contextlib.suppress(OSError), open(self.metrics, encoding="utf-8") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return [entry for entry in found if isinstance(entry, dict) and "step" in entry]

    def settle_metrics(self) -> None:
        """Bring the metrics to the disk: a checkpoint must not be newer than they are."""
        with contextlib.suppress(FileNotFoundError), open(self.metrics, "rb") as file:
            os.fsync(file.fileno())

    def settle_names(self) -> None:
        """Bring the names of checkpoints to the disk, where the system can."""
        with contextlib.suppress(OSError):  # Windows opens no folders
            descriptor = os.open(self.checkpoints, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def cut_metrics(self, step: int) -> None:
        """Forget what comes after a step: it is done again."""
        if os.path.exists(self.metrics):
            kept = [entry for entry in self.read_metrics() if entry["step"] <= step]
            self.write(self.metrics, "".join(json.dumps(entry) + "\n" for entry in kept))
