"""`space` takes a few times as long as `du`, of large trees at most three times, whatever weights hold.

Of 10,000 files three times is out of reach: importing click alone takes longer than two of ``du``, and
listing the tree in Python, with nothing counted, nearly two more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial

from benchmarks.claims import Claim, Settings, main, ratio
from benchmarks.files import sd1_attention
from benchmarks.measuring import CONSOLE, pairs, run

_RUNS = 10
_CHECKPOINTS = 10
_SAMPLES = 95
"""Pictures of each checkpoint."""


def claims(settings: Settings) -> Iterator[Claim]:
    """10,000 files as they are, then with whole wrapped models among them, then ten times as many."""
    rounds = settings.turns(15)
    tree = os.path.join(settings.folder, "runs")
    _write_runs(tree, _RUNS)
    yield _claim("10,000 files", tree, rounds, 6)
    for folder, _, names in os.walk(tree):
        if "adapter_model.safetensors" in names:
            _write_wrapped(os.path.join(folder, "model.safetensors"))
    yield _claim("10,000 files and 100 wrapped UNets", tree, rounds, 10)
    many = os.path.join(settings.folder, "many")
    _write_runs(many, 10 * _RUNS)
    yield _claim("100,000 files", many, max(3, rounds // 3), 3)


def _claim(what: str, tree: str, rounds: int, limit: float) -> Claim:
    ours = partial(run, (CONSOLE, "space", tree))
    theirs = partial(run, ("du", "-s", tree))
    return ratio(f"space ÷ du -s, {what}", pairs(ours, theirs, rounds), limit)


def _write_runs(folder: str, runs: int) -> None:
    """Runs of ten checkpoints with adapter, state and samples: 1,000 files each."""
    adapter = _header(
        [(f"{m.name}.lora_{part}.weight", 0) for m in sd1_attention() for part in "AB"]
    )
    for number in range(runs):
        for step in range(1, _CHECKPOINTS + 1):
            place = os.path.join(folder, f"run-{number}")
            checkpoint = os.path.join(place, "checkpoints", f"checkpoint-{100 * step}")
            samples = os.path.join(place, "samples", f"step-{100 * step}")
            os.makedirs(checkpoint)
            os.makedirs(samples)
            _write(os.path.join(checkpoint, "adapter_model.safetensors"), adapter)
            for name in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl"):
                _write(os.path.join(checkpoint, name), b"state")
            _write(os.path.join(checkpoint, "adapter_config.json"), b"{}")
            for sample in range(_SAMPLES):
                _write(os.path.join(samples, f"{sample:04}.png"), b"picture")


def _write_wrapped(path: str) -> None:
    """A whole UNet with an adapter in it: its header, and a hole for its data."""
    tensors = []
    for module in sd1_attention():
        name = f"base_model.model.{module.name}"
        tensors += [
            (f"{name}.base_layer.weight", 26_000_000),
            (f"{name}.lora_A.default.weight", 8_000),
        ]
        tensors += [(f"{name}.lora_B.default.weight", 8_000)]
    tensors += [(f"base_model.model.rest.{number}.weight", 160_000) for number in range(558)]
    header = _header(tensors)
    _write(path, header)
    os.truncate(path, len(header) + sum(size for _, size in tensors))


def _header(tensors: list[tuple[str, int]]) -> bytes:
    entries, at = {}, 0
    for name, size in tensors:
        entries[name] = {"dtype": "F32", "shape": [size // 4, 1], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    main(claims)
