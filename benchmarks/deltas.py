"""Resizing and extracting, beside torch's decomposition of every whole ΔW."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec

from benchmarks.claims import Claim, Settings, main, ratio
from benchmarks.files import sd1_attention, write_peft
from benchmarks.measuring import CONSOLE, PYTHON, Run, pairs, run

_MEMORY = 80
_LARGEST_MODULE = 250
"""Megabytes: the largest difference, in float64, its Gram matrix, and numpy."""
_BLOCKS = 4
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
        whole = (files[0].get_tensor(name) - files[1].get_tensor(name)).flatten(1)
    left, values, right = torch.linalg.svd(whole, full_matrices=False)
    left[:, :rank] * values[:rank], right[:rank]
"""


def claims(settings: Settings) -> Iterator[Claim]:
    """An adapter of Stable Diffusion 1.5's attention, and some of its weights in two states."""
    turns = settings.turns(3)
    source = write_peft(os.path.join(settings.folder, "deltas"), 6.4)
    output = os.path.join(settings.folder, "resized")
    resize = partial(run, (CONSOLE, "resize", source, "--rank", "4", "--force", "-o", output))
    yield Claim("peak memory: resize to rank 4, 6 MB", resize().megabytes, _MEMORY, "MB")
    large = write_peft(os.path.join(settings.folder, "large"), 26)
    whole = (CONSOLE, "resize", large, "--rank", "4", "--force", "-o", output)
    yield Claim("peak memory: resize to rank 4, 26 MB", run(whole).megabytes, _MEMORY, "MB")
    sums = (CONSOLE, "combine", large, f"{large}:0.5", "--method", "svd", "--rank", "4", "--force")
    summed = run((*sums, "-o", output)).megabytes
    yield Claim("peak memory: combine two of 26 MB to rank 4", summed, _MEMORY, "MB")
    with ProcessPoolExecutor(1) as apart:  # what this process holds would count as its children's
        tuned, base = apart.submit(_weights, settings.folder, _BLOCKS).result()
        larger = apart.submit(_weights, settings.folder, 2 * _BLOCKS).result()
    exact, fast = (
        os.path.join(settings.folder, f"{name}.safetensors") for name in ("exact", "fast")
    )
    extract = partial(_afresh, _extract(tuned, base, exact), exact)
    sample = partial(_afresh, (*_extract(tuned, base, fast), "--fast"), fast)
    peak = extract().megabytes
    yield Claim("peak memory: extract", peak, _LARGEST_MODULE, "MB")
    more = _afresh(_extract(*larger, exact), exact).megabytes
    yield Claim("peak memory: extract twice as much ÷ that", more / peak, 1.1, "×")
    sampled = pairs(sample, extract, turns)
    yield ratio("extract --fast is faster than exact", sampled, 1.0, inverse=True)
    if find_spec("torch") is None:
        return
    torch = (PYTHON, "-c", _WITH_TORCH)
    products = pairs(
        partial(_afresh, (CONSOLE, "resize", source, "--rank", "4", "-o", output), output),
        partial(run, (*torch, "resize", "4", source)),
        turns,
    )
    yield ratio("resize is faster than torch.linalg.svd", products, 20, inverse=True)
    differences = pairs(extract, partial(run, (*torch, "extract", "16", tuned, base)), turns)
    yield ratio("extract is faster than torch.linalg.svd", differences, 8, inverse=True)


def _extract(tuned: str, base: str, output: str) -> tuple[str, ...]:
    return (CONSOLE, "extract", tuned, base, "--rank", "16", "--architecture", "sd1", "-o", output)


def _afresh(command: tuple[str, ...], output: str) -> Run:
    """A command whose output is removed before: what is there already would be left alone."""
    if os.path.isdir(output):
        shutil.rmtree(output)
    elif os.path.exists(output):
        os.unlink(output)
    return run(command)


def _weights(folder: str, blocks: int) -> tuple[str, str]:
    """Some of the UNet's weights in Diffusers' names, and as a training leaves them.

    Attention of 1280, a feedforward's output and a convolution of 640. What training adds falls as k^-0.7
    and has noise beside it.
    """
    import numpy
    from safetensors.numpy import save_file

    rng = numpy.random.default_rng(0)
    attention = [m.name for m in sd1_attention() if m.inputs == m.outputs == 1280][:blocks]
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(attention, (1280, 1280))
    for block in range(blocks // 2):
        shapes[f"up_blocks.1.attentions.{block}.transformer_blocks.0.ff.net.2"] = (1280, 5120)
        shapes[f"up_blocks.2.resnets.{block}.conv2"] = (640, 640, 3, 3)
    base, tuned = {}, {}
    for name, shape in shapes.items():
        height, width = shape[0], int(numpy.prod(shape[1:]))
        up = rng.standard_normal((height, 256)) * numpy.arange(1.0, 257.0) ** -0.7
        change = up @ rng.standard_normal((256, width)) + rng.standard_normal((height, width))
        weight = rng.standard_normal(shape, dtype="float32") * 0.03
        base[f"{name}.weight"] = weight
        tuned[f"{name}.weight"] = weight + (change * 1e-4).astype("float32").reshape(shape)
    paths = [os.path.join(folder, f"{name}-{blocks}.safetensors") for name in ("tuned", "base")]
    for path, weights in zip(paths, (tuned, base), strict=True):
        save_file(weights, path)
    return paths[0], paths[1]


if __name__ == "__main__":
    main(claims)
