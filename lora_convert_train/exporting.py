"""The result of a run, in the formats that programs read: made by the converter, proved by it."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import lora_convert as lc

if TYPE_CHECKING:
    from lora_convert_train.run_folder import RunFolder

_README = """# {name}

A LoRA for {base}, made by lora-convert-train.

| file | for |
| --- | --- |
| `pytorch_lora_weights.safetensors` | Diffusers: `pipeline.load_lora_weights("{name}")` |
| `adapter_model.safetensors`, `adapter_config.json` | PEFT |
{kohya}
{trigger}Steps: {step}. Rank {rank}, alpha {alpha:g}. Each file was proved to act as the checkpoint does.
"""
_KOHYA = "| `{name}.safetensors` | ComfyUI, A1111, Forge, sd-scripts |"


def export(run: RunFolder, checkpoint: str, *, step: int, about: dict[str, object]) -> str:
    """Write ``lora_weights`` of a checkpoint, in place of an older one; its path.

    `about` has base, rank, alpha and trigger. Errors as of `lora_convert.convert`.
    """
    os.makedirs(run.path, exist_ok=True)
    staged = tempfile.mkdtemp(prefix=".lora_weights-", dir=run.path)
    try:
        lc.convert(checkpoint, "peft", output=os.path.join(staged, "peft"))
        for name in os.listdir(os.path.join(staged, "peft")):
            os.replace(os.path.join(staged, "peft", name), os.path.join(staged, name))
        os.rmdir(os.path.join(staged, "peft"))
        lc.convert(
            checkpoint,
            "diffusers",
            output=os.path.join(staged, "pytorch_lora_weights.safetensors"),
        )
        kohya = ""
        try:
            lc.convert(checkpoint, "kohya", output=os.path.join(staged, f"{run.name}.safetensors"))
            kohya = _KOHYA.format(name=run.name)
        except lc.LoraConvertError:
            kohya = ""  # the format has no names for this model
        trigger = f"Trigger word: `{about['trigger']}`. " if about.get("trigger") else ""
        text = _README.format(
            name=run.name, step=step, kohya=kohya, **{**about, "trigger": trigger}
        )
        with open(os.path.join(staged, "README.md"), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(staged, 0o777 & ~_umask())
        _swap(staged, run.weights)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return run.weights


def _swap(staged: str, target: str) -> None:
    """Give a folder its name; the one that had it goes after that."""
    old = ""
    if os.path.isdir(target):
        old = tempfile.mkdtemp(prefix=".old-", dir=os.path.dirname(target))
        os.replace(target, os.path.join(old, "weights"))
    os.replace(staged, target)
    if old:
        shutil.rmtree(old)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
