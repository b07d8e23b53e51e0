"""Resizing and extracting, beside torch's decomposition of every whole ΔW."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec

from benchmarks.claims import Claim, Settings, main, ratio
from benchmarks.files import Tensors, sd1_attention, write_peft, write_tensors
from benchmarks.measuring import CONSOLE, PYTHON, Run, pairs, run

_MEMORY = 80
_LARGEST_MODULE = 250
"""Megabytes: a difference of 1280 × 1280 and its decomposition, in float64, and numpy."""
_MODULES = 6
_WITH_TORCH = """
import sys, torch
from safetensors import safe_open
torch.set_num_threads(1)
what, rank, *paths = sys.argv[1:]
rank, files = int(rank), [safe_open(path, "pt") for path in paths]
for name in files[-1].keys():
    if what == "resize":
        if not name.endswith("lora_A.weight"):
            continue
        up = files[0].get_tensor(name.replace("lora_A", "lora_B"))
        whole = up @ files[0].get_tensor(name)
    else:
        whole = files[0].get_tensor(name) - files[1].get_tensor(name)
    left, values, right = torch.linalg.svd(whole, full_matrices=False)
    left[:, :rank] * values[:rank], right[:rank]
"""


def claims(settings: Settings) -> Iterator[Claim]:
    """An adapter of Stable Diffusion 1.5's attention, and the widest of its weights in two states."""
    turns = settings.turns(3)
    source = write_peft(os.path.join(settings.folder, "deltas"), 6.4)
    output = os.path.join(settings.folder, "resized")
    resize = partial(run, (CONSOLE, "resize", source, "--rank", "4", "--force", "-o", output))
    yield Claim("peak memory: resize to rank 4, 6 MB", resize().megabytes, _MEMORY, "MB")
    tuned, base = (_weights(settings.folder, name) for name in ("tuned", "base"))
    command = (CONSOLE, "extract", tuned, base, "--rank", "16", "--architecture", "sd1", "-o")
    exact, fast = (
        os.path.join(settings.folder, f"{name}.safetensors") for name in ("exact", "fast")
    )
    extract = partial(_afresh, (*command, exact), exact)
    sample = partial(_afresh, (*command, fast, "--fast"), fast)
    peak = extract().megabytes
    yield Claim("peak memory: extract 1280 × 1280", peak, _LARGEST_MODULE, "MB")
    sampled = pairs(sample, extract, turns)
    yield ratio("extract --fast is faster than exact", sampled, 1.5, inverse=True)
    if find_spec("torch") is None:
        return
    torch = (PYTHON, "-c", _WITH_TORCH)
    whole = pairs(
        partial(_afresh, (CONSOLE, "resize", source, "--rank", "4", "-o", output), output),
        partial(run, (*torch, "resize", "4", source)),
        turns,
    )
    yield ratio("resize is faster than torch.linalg.svd", whole, 20, inverse=True)
    differences = pairs(extract, partial(run, (*torch, "extract", "16", tuned, base)), turns)
    yield ratio("extract is faster than torch.linalg.svd", differences, 1.2, inverse=True)


def _afresh(command: tuple[str, ...], output: str) -> Run:
    """A command whose output is removed before: what is there already would be left alone."""
    if os.path.isdir(output):
        shutil.rmtree(output)
    elif os.path.exists(output):
        os.unlink(output)
    return run(command)


def _weights(folder: str, name: str) -> str:
    """The widest attention weights of the UNet in Diffusers' names, others in each file."""
    widest = [module for module in sd1_attention() if module.inputs == module.outputs == 1280]
    beginning = {"tuned": {"a": ("F32", (7,))}, "base": {}}[name]  # so that no two lie alike
    tensors: Tensors = {
        **beginning,  # type: ignore[dict-item]
        **{f"{m.name}.weight": ("F32", (m.outputs, m.inputs)) for m in widest[:_MODULES]},
    }
    return write_tensors(os.path.join(folder, f"{name}.safetensors"), tensors)


if __name__ == "__main__":
    main(claims)
