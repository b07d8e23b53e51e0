"""Pipelines of Stable Diffusion 1.5's size: what a checkpoint costs in time, memory and space."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from itertools import count
from statistics import median

from benchmarks.bases import write_base
from benchmarks.claims import Claim, Settings, main, ratio
from benchmarks.files import Tensors, sd1_attention, write_peft, write_tensors
from benchmarks.measuring import CONSOLE, PYTHON, Run, pairs, run

_MEGABYTES = 3400
_LIMIT = 80
_RANK = 8
_WITH_DIFFUSERS = """
import sys
from diffusers import StableDiffusionPipeline
from transformers import CLIPTextModel
base, lora, output = sys.argv[1:]
parts = dict.fromkeys(("tokenizer", "scheduler", "safety_checker", "feature_extractor"))
pipeline = StableDiffusionPipeline.from_pretrained(base, **parts)
pipeline.load_lora_weights(lora, weight_name="pytorch_lora_weights.safetensors")
pipeline.fuse_lora()
pipeline.unload_lora_weights()
pipeline.save_pretrained(output)
"""


def claims(settings: Settings) -> Iterator[Claim]:
    """One run with six checkpoints: LoRA alone, a whole wrapped model, and LoRA on every layer."""
    if settings.largest < _MEGABYTES or find_spec("diffusers") is None:
        return
    folder = os.path.join(settings.folder, "pipelines")
    base = write_base(os.path.join(folder, "base"))
    unet = os.path.join(base, "unet", "diffusion_pytorch_model.safetensors")
    pipelines = os.path.join(folder, "run", "checkpoint_pipelines")
    loras = [write_peft(os.path.join(folder, f"lora-{n}"), 6.4) for n in range(6)]
    numbers = count()

    def built(source: str, *options: str, parent: str = pipelines, base: str = base) -> Run:
        output = os.path.join(parent, f"pipeline-{next(numbers)}")
        command = (CONSOLE, "pipeline", source, "--base", base, "-o", output, *options)
        try:
            return run(command)
        finally:
            shutil.rmtree(output, ignore_errors=True)

    copied = os.path.join(folder, "copy.safetensors")
    copy = partial(run, ("sh", "-c", f"cp {unet} {copied} && sync {copied}"))
    compare = ("cmp", unet, copied)
    built(loras[0])  # the store is filled once
    turns = settings.turns(5)
    steady = pairs(partial(built, loras[1]), copy, turns)
    yield ratio("pipeline of a LoRA ÷ cp UNET && sync", steady, 0.8)
    peak = built(loras[1]).megabytes
    yield Claim("peak memory: pipeline of a LoRA", peak, _LIMIT, "MB")
    wrapped = wrapped_model(os.path.join(folder, "wrapped"), unet)
    whole = pairs(partial(built, wrapped), copy, turns)
    compared = median(run(compare).seconds for _ in range(turns))
    cost = (whole.first - compared) / whole.second
    yield Claim("(pipeline of a wrapped model − cmp of UNets) ÷ cp && sync", cost, 0.8, "×")
    peak = built(wrapped).megabytes
    yield Claim("peak memory: pipeline of a wrapped model", peak, _LIMIT, "MB")
    linear = _all_linear(os.path.join(folder, "linear.safetensors"), base)
    yield Claim("peak memory: LoRA on every layer", built(linear).megabytes, _LIMIT, "MB")
    full = partial(built, loras[1], "--layout", "full")
    yield ratio("--layout full ÷ cp UNET && sync", pairs(full, copy, turns), 2.5)
    os.unlink(copied)
    yield from _against_diffusers(folder, base, loras[1], partial(built, loras[1]), settings)
    for dtype in ("keep", "fp16"):
        yield _space(folder, base, loras, dtype)
    shutil.rmtree(folder)


def _against_diffusers(
    folder: str, base: str, lora: str, ours: partial[Run], settings: Settings
) -> Iterator[Claim]:
    converted, output = os.path.join(folder, "lora"), os.path.join(folder, "fused")
    run((CONSOLE, "to-diffusers", lora, "-o", converted))
    theirs = partial(run, (PYTHON, "-c", _WITH_DIFFUSERS, base, converted, output))
    measured = pairs(ours, theirs, min(settings.turns(3), 3))
    yield ratio(
        "pipeline of a LoRA, faster than Diffusers' load, fuse, save", measured, 5, inverse=True
    )
    shutil.rmtree(output)


def wrapped_model(folder: str, unet: str) -> str:
    """A whole model as Accelerate saves it: the base's own bytes beside a LoRA's."""
    os.makedirs(folder)
    with open(unet, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        start = 8 + length
    header.pop("__metadata__", None)
    adapted = {module.name: module for module in sd1_attention()}
    entries: dict[str, object] = {}
    end = 0
    for name, entry in header.items():
        module, _, leaf = name.rpartition(".")
        named = f"{module}.base_layer.{leaf}" if module in adapted else name
        entries[f"base_model.model.{named}"] = entry
        end = max(end, entry["data_offsets"][1])
    factors = b""
    for name, module in adapted.items():
        for role, shape in (("A", (_RANK, module.inputs)), ("B", (module.outputs, _RANK))):
            data = _floats(shape[0] * shape[1])
            place = [end + len(factors), end + len(factors) + len(data)]
            key = f"base_model.model.{name}.lora_{role}.default.weight"
            entries[key] = {"dtype": "F32", "shape": shape, "data_offsets": place}
            factors += data
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    path = os.path.join(folder, "model.safetensors")
    with open(path, "wb") as out, open(unet, "rb") as file:
        out.write(len(text).to_bytes(8, "little") + text)
        file.seek(start)
        shutil.copyfileobj(file, out, 1 << 24)
        out.write(factors)
    return path


def _floats(number: int) -> bytes:
    """Small numbers, as fp32."""
    return (b"\x00\x00\x80\x3c\x00\x00\x00\xbd" * (number // 2 + 1))[: 4 * number]


def _all_linear(path: str, base: str) -> str:
    """A LoRA of rank 8 on every matrix and convolution of the UNet."""
    with open(os.path.join(base, "unet", "diffusion_pytorch_model.safetensors"), "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    tensors: Tensors = {}
    for name, entry in header.items():
        shape = tuple(entry["shape"])
        module, _, leaf = name.rpartition(".")
        if leaf == "weight" and len(shape) > 1:
            ones = (1,) * (len(shape) - 2)
            tensors[f"unet.{module}.lora_A.weight"] = "F32", (_RANK, *shape[1:])
            tensors[f"unet.{module}.lora_B.weight"] = "F32", (shape[0], _RANK, *ones)
    return write_tensors(path, tensors)


def _space(folder: str, base: str, loras: list[str], dtype: str) -> Claim:
    """Six pipelines of one run against six that stand for themselves."""
    parent = os.path.join(folder, f"space-{dtype}", "checkpoint_pipelines")
    for number, lora in enumerate(loras):
        output = os.path.join(parent, f"checkpoint-{number}")
        run((CONSOLE, "pipeline", lora, "--base", base, "-o", output, "--dtype", dtype))
    seen, taken, apart = set(), 0, 0
    for place, _, files in os.walk(parent):
        for name in files:
            status = os.stat(os.path.join(place, name))
            apart += status.st_size if ".shared" not in place else 0
            taken += status.st_size if status.st_ino not in seen else 0
            seen.add(status.st_ino)
    shutil.rmtree(parent)
    kind = "fp32" if dtype == "keep" else dtype
    note = f"{taken / 1e9:.2f} GB : {apart / 1e9:.2f} GB"
    return Claim(
        f"six pipelines of one run ÷ six alone, {kind}, % of the space",
        100 * taken / apart,
        25,
        "%",
        note,
    )


if __name__ == "__main__":
    main(claims)
