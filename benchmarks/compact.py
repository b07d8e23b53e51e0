"""Compacting wrapped checkpoints of Stable Diffusion 1.5's size: time, memory, and what is left."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from statistics import median

from benchmarks.bases import write_base
from benchmarks.claims import Claim, Settings, main
from benchmarks.measuring import CONSOLE, PYTHON, Run, run
from benchmarks.pipelines import wrapped_model

_MEGABYTES = 3400
_MEMORY = 80
_CATS = 1.8
_AS_TORCH = """
import sys, torch
from safetensors.torch import load_file
torch.save(load_file(sys.argv[1]), sys.argv[2])
"""


def claims(settings: Settings) -> Iterator[Claim]:
    """A checkpoint of each container beside its base, and a run of six."""
    if settings.largest < _MEGABYTES or find_spec("diffusers") is None:
        return
    folder = os.path.join(settings.folder, "compact")
    base = write_base(os.path.join(folder, "base"))
    unet = os.path.join(base, "unet", "diffusion_pytorch_model.safetensors")
    for container in ("safetensors", "torch"):
        checkpoints = os.path.join(folder, container, "checkpoints")
        first, second = (_checkpoint(checkpoints, number, unet, container) for number in (1, 2))
        yield _first(container, first, base)
        yield from _next(settings, container, second, base, unet)
        shutil.rmtree(os.path.join(folder, container))
    yield _six(os.path.join(folder, "six"), base, unet)
    shutil.rmtree(folder)


def _checkpoint(folder: str, number: int, unet: str, container: str = "safetensors") -> str:
    """A wrapped model's file, in a checkpoint's folder."""
    path = wrapped_model(os.path.join(folder, f"checkpoint-{number}"), unet)
    if container == "safetensors":
        return path
    torch = os.path.join(os.path.dirname(path), "pytorch_model.bin")
    run((PYTHON, "-c", _AS_TORCH, path, torch))
    os.remove(path)
    return torch


def _compact(path: str, base: str) -> Run:
    folder = os.path.dirname(path)
    return run((CONSOLE, "compact", folder, "--base", base, "--yes", "--force"))


def _first(container: str, path: str, base: str) -> Claim:
    """The first checkpoint of a run: its base is put into the store too."""
    size = os.path.getsize(path)
    cost = _compact(path, base)
    kept = _kept(os.path.dirname(path))
    note = f"{cost.seconds:.1f} s, with the base copied into the store"
    return Claim(f"{container}: bytes ÷ what is kept", size / kept, 100, "×", note, at_least=True)


def _next(settings: Settings, container: str, path: str, base: str, unet: str) -> Iterator[Claim]:
    """Another checkpoint, compacted and restored in turns."""
    digest = _digest(path)
    costs, peaks, restored = [], [], []
    for _ in range(settings.turns(5)):
        cat, hashed = _cat(path, unet), _sha256(path)
        compacted = _compact(path, base)
        back = run((CONSOLE, "restore", os.path.dirname(path), "--yes"))
        costs.append(compacted.seconds / (_CATS * cat.seconds + hashed.seconds))
        peaks += [compacted.megabytes, back.megabytes]
        restored.append(back.seconds / cat.seconds)
    note = f"restore takes {median(restored):.2f} × cat"
    what = f"{container}: compact ÷ ({_CATS:g} × cat of both + sha256sum)"
    yield Claim(what, median(costs), 1, "×", note)
    yield Claim(f"{container}: peak memory, compact and restore", max(peaks), _MEMORY, "MB")
    same = float(_digest(path) == digest)
    yield Claim(f"{container}: restored files with another sha256", 1 - same, 0, "")


def _six(folder: str, base: str, unet: str) -> Claim:
    """What a run takes of the disk."""
    for number in range(6):
        _compact(_checkpoint(os.path.join(folder, "checkpoints"), number, unet), base)
    found = sum(
        os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(folder)
        for name in names
    )
    each = (found - os.path.getsize(unet)) / 6
    shutil.rmtree(folder)
    return Claim("a run of six beyond one base, each", each / 1e6, 20, "MB")


def _kept(folder: str) -> int:
    endings = (".recipe", ".adapter.safetensors")
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name.endswith(endings))


def _cat(path: str, unet: str) -> Run:
    return run(("sh", "-c", f"cat {unet} {path} > /dev/null"))


def _sha256(path: str) -> Run:
    return run(("sha256sum", path))


def _digest(path: str) -> str:
    done = subprocess.run(("sha256sum", path), capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


if __name__ == "__main__":
    main(claims)
