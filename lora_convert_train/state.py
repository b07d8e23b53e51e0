"""Checkpoints of a run: saved whole, found again, gone on from."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import lora_convert as lc
from lora_convert.errors import LoraConvertError
from lora_convert_train.errors import ResumeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lora_convert_train.run_folder import RunFolder
    from lora_convert_train.settings import Settings

_EXACT = (
    *("train_batch_size", "gradient_accumulation_steps", "seed", "mixed_precision", "device"),
    *("resolution", "buckets", "bucket_step", "random_flip", "caption_dropout", "optimizer"),
    *("learning_rate", "lr_scheduler", "lr_warmup_steps", "weight_decay", "max_grad_norm"),
    *("min_snr_gamma", "noise_offset", "noise_levels", "shift", "guidance_scale", "lora_dropout"),
    *("gradient_checkpointing", "quantize", "train_text_encoder"),
)
"""Settings on which the numbers of the next step depend."""

_FIXED = ("lora_rank", "lora_alpha", "targets", "adapter_type", "use_rslora")
"""Settings that a run cannot change: its weights would be others."""


class Trained(NamedTuple):
    """What is saved and restored."""

    models: Mapping[str, Any]
    """By component: the models that have an adapter."""
    optimizer: Any
    scheduler: Any
    scaler: Any
    """Of fp16; None elsewhere."""


def identity(settings: Settings, dataset: str, processes: int) -> dict[str, Any]:
    """What the bits of a step depend on, beside the step's number."""
    import platform

    import diffusers
    import peft
    import torch

    names = (*_EXACT, *_FIXED)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        **{name: getattr(settings, name) for name in names},
        "dataset": dataset,
        "processes": processes,
        "threads": torch.get_num_threads(),
        "hardware": device,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "peft": peft.__version__,
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What breaks the exactness of going on; ResumeError for what makes it impossible."""
    changed = [name for name in now if name in before and before[name] != now[name]]
    fixed = [name for name in changed if name in _FIXED]
    if fixed:
        name = fixed[0]
        raise ResumeError(
            f"--{name.replace('_', '-')} was {before[name]}, and is {now[name]} now",
            why="the weights that were saved are of the other",
            hint="go on as it was, or train into a new --output-dir",
        )
    return [f"{name}: {before[name]} before, {now[name]} now" for name in changed]


def save(run: RunFolder, trained: Trained, step: int, epoch: int, ident: dict[str, Any]) -> str:
    """Save a step's checkpoint; it appears whole. Its folder; of several models each has a subfolder."""
    path = run.checkpoint(step)
    scaler = trained.scaler.state_dict() if trained.scaler else None
    states = {
        "optimizer": trained.optimizer,
        "scheduler": trained.scheduler,
        "step": step,
        "epoch": epoch,
        "metadata": {"identity": ident, "scaler": scaler},
    }
    if len(trained.models) == 1:
        (model,) = trained.models.values()
        lc.save_checkpoint(model, path, **states)
        return path
    staged = os.path.join(run.checkpoints, f".checkpoint-{step}")
    shutil.rmtree(staged, ignore_errors=True)
    for part, model in trained.models.items():
        lc.save_checkpoint(model, os.path.join(staged, part), **states)
        states = {}  # of all models, beside the first
    shutil.rmtree(path, ignore_errors=True)  # one that could not be gone on from
    os.replace(staged, path)
    run.settle_names()
    return path


def restore(
    run: RunFolder, trained: Trained, warn: Callable[[str], None]
) -> tuple[int, dict[str, Any]]:
    """Go back to the newest whole checkpoint: its step, 0 for none, and what it said of itself.

    ResumeError where there are checkpoints and none is whole: to begin again would end them.
    """
    steps = run.steps()
    for step in steps:
        path = run.checkpoint(step)
        try:
            metadata = _loaded(path, trained)
        except LoraConvertError as error:
            warn(
                f"{os.path.basename(path)} cannot be gone on from, an older one is tried: {error.what}"
            )
            continue
        if trained.scaler and metadata.get("scaler"):
            trained.scaler.load_state_dict(metadata["scaler"])
        return step, dict(metadata.get("identity") or {})
    if steps:
        raise ResumeError(
            f"{run.checkpoints}: none of the {len(steps)} checkpoints can be gone on from",
            why="the notes above say what is wrong with each",
            hint="train into a new --output-dir",
        )
    return 0, {}


def rotate(run: RunFolder, keep: int, *, best: int = 0) -> None:
    """Remove all but the newest checkpoints; that of the `best` step stays."""
    for step in run.steps()[keep:] if keep else ():
        if step != best:
            shutil.rmtree(run.checkpoint(step))


def _loaded(path: str, trained: Trained) -> Mapping[str, Any]:
    """Load a checkpoint; what it says of itself. Models and states are as they were where it is broken."""
    (first, model), *others = trained.models.items()
    for part, other in others:
        lc.load_checkpoint(os.path.join(path, part), other)
    report = lc.load_checkpoint(
        os.path.join(path, first) if others else path,
        model,
        optimizer=trained.optimizer,
        scheduler=trained.scheduler,
    )
    return report.metadata
