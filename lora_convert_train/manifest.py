"""What ``run.json`` says of a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_convert_train.preparing import Prepared
    from lora_convert_train.run_folder import RunFolder
    from lora_convert_train.settings import Settings

SCHEMA = 1
_TOLD = ("lora-convert", "torch", "diffusers", "peft", "accelerate", "transformers")


def now() -> str:
    """The time, in UTC, by ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def beginning(settings: Settings, prepared: Prepared, first: int) -> dict[str, Any]:
    """What is known when steps begin after `first`. Captions are not in it."""
    recipe, work = prepared.loop.recipe, prepared.work
    sizes = [frame.size for frame in work.frames]
    buckets = {f"{w}x{h}": sizes.count((w, h)) for w, h in sorted(set(sizes))}
    return {
        "schema": SCHEMA,
        "state": "running",
        "signal": 0,
        "error": "",
        "step": first,
        "resumed_from": first,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": now(),
        "ended": "",
        "model": {
            "path": settings.pretrained_model_name_or_path,
            "revision": settings.revision,
        },
        "architecture": recipe.architecture,
        "lora": {
            "type": settings.adapter_type,
            "rank": settings.lora_rank,
            "alpha": settings.alpha,
            "targets": settings.targets,
            "trainable": prepared.trainable,
        },
        "dataset": {
            "images": len(work.dataset.items),
            "buckets": buckets,
            "sha256": work.dataset.digest,
        },
        "trigger_word": settings.trigger_word,
        "max_train_steps": settings.max_train_steps,
        "identity": prepared.identity,
        "versions": {**versions(), "python": platform.python_version(), "system": sys.platform},
    }


def trains(run: RunFolder) -> bool:
    """Whether another process of this machine trains a run just now."""
    said = run.read_manifest()
    process = said.get("pid")
    here = said.get("host") == socket.gethostname() and process != os.getpid()
    if said.get("state") != "running" or not here or not isinstance(process, int):
        return False
    if os.name == "nt":  # there the question below would be a Ctrl-C
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def versions() -> dict[str, str]:
    """Of the packages that steps are made with."""
    found = {}
    for name in _TOLD:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def checkpoints(run: RunFolder) -> list[dict[str, Any]]:
    """Those that are there, the first first, with the loss of their step."""
    losses = {int(one["step"]): one["loss"] for one in run.read_metrics()}
    return [
        {
            "step": step,
            "path": os.path.relpath(run.checkpoint(step), run.path).replace(os.sep, "/"),
            "loss": losses.get(step),
        }
        for step in reversed(run.steps())
    ]


def about(settings: Settings) -> dict[str, Any]:
    """What a reader of the result is told."""
    return {
        "base": settings.pretrained_model_name_or_path,
        "rank": settings.lora_rank,
        "alpha": settings.alpha,
        "trigger": settings.trigger_word,
    }
