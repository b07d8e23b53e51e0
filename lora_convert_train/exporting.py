"""The result of a run, in the formats that programs read: made by the converter, proved by it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import lora_convert as lc
from lora_convert.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lora_convert_train.run_folder import RunFolder

_STAGED, _OLD = ".lora_weights", ".lora_weights.old"
PEFT = ("adapter_model.safetensors", "adapter_config.json")

_README = """# {name}

A LoRA for {base}, made by lora-convert-train.

| file | for |
| --- | --- |
{rows}

{trigger}Steps: {step}. Rank {rank}, alpha {alpha:g}. Each file was proved to act as the checkpoint does.
"""


class _Target(NamedTuple):
    """A file that is written where the format can hold the adapter; of one kind the first that can."""

    format: str
    file: str
    use: str
    kind: str


_TARGETS = (
    _Target("diffusers", "pytorch_lora_weights.safetensors", "Diffusers", "diffusers"),
    _Target("kohya", "{name}.safetensors", "ComfyUI, A1111, Forge, sd-scripts", "web"),
    _Target("comfyui", "{name}.safetensors", "ComfyUI", "web"),
)


def export(run: RunFolder, checkpoint: str, *, step: int, about: dict[str, object]) -> str:
    """Write ``lora_weights`` of a checkpoint, in place of an older one; its path.

    PEFT's folder, and the files of other formats that can hold the adapter. `about` has base, rank, alpha
    and trigger; the run says what its architecture is, which names alone need not tell. Errors as of
    `lora_convert.convert`, for PEFT.
    """
    architecture = run.read_manifest().get("architecture")
    convert = partial(lc.convert, checkpoint, architecture=architecture)
    staged, old = (os.path.join(run.path, name) for name in (_STAGED, _OLD))
    for left in (staged, old):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    os.makedirs(staged)
    try:
        inner = os.path.join(staged, "peft")
        convert("peft", output=inner)
        for name in os.listdir(inner):
            os.replace(os.path.join(inner, name), os.path.join(staged, name))
        os.rmdir(inner)
        rows = [f"| {', '.join(f'`{name}`' for name in PEFT)} | PEFT |"]
        rows += [f"| `{name}` | {use} |" for name, use in _written(convert, run.name, staged)]
        trigger = f"Trigger word: `{about['trigger']}`. " if about.get("trigger") else ""
        told = {**about, "trigger": trigger, "name": run.name, "step": step}
        text = _README.format(rows="\n".join(rows), **told)
        with open(os.path.join(staged, "README.md"), "w", encoding="utf-8") as file:
            file.write(text)
        if os.path.isdir(run.weights):
            os.replace(run.weights, old)
        os.replace(staged, run.weights)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return run.weights


def _written(convert: Callable[..., object], run: str, folder: str) -> Iterator[tuple[str, str]]:
    """Names and uses of the files that could be written."""
    done: set[str] = set()
    for target in _TARGETS:
        name = target.file.format(name=run)
        if target.kind not in done:
            with suppress(ConversionError):
                convert(target.format, output=os.path.join(folder, name))
                done.add(target.kind)
                yield name, target.use
