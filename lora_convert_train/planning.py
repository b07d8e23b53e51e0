"""What a training would do and take, before a weight is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lora_convert_train.adapters import add_adapter, targeted
from lora_convert_train.hardware import free_memory, hardware_for
from lora_convert_train.order import Order
from lora_convert_train.preparing import work_for
from lora_convert_train.recipes import recipe_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert_train.base import Base
    from lora_convert_train.dataset import Dataset
    from lora_convert_train.encoding import Work
    from lora_convert_train.hardware import Hardware
    from lora_convert_train.settings import Settings

_QUANTIZED = {"nf4": 0.5, "int8": 1.0, "fp8": 1.0}
"""Bytes of a weight that is kept quantised."""
_MOMENTS = 2
"""Numbers that the optimizer keeps for each that is trained."""


class TrainingPlan(NamedTuple):
    """Sizes are in bytes."""

    images: int
    buckets: dict[tuple[int, int], int]
    """Images by width and height in pixels."""
    batches: int
    """In an epoch."""
    epochs: float
    steps: int
    trainable: int
    """Numbers."""
    modules: int
    adapter: int
    checkpoint: int
    disk: int
    """All checkpoints and the result."""
    cache: int
    """What is encoded, of images."""
    weights: int
    """The frozen denoiser in memory."""
    memory: int
    """Weights, adapter, gradients and optimizer; activations come on top."""
    notes: tuple[str, ...]


def plan_training(settings: Settings, dataset: Dataset, base: Base) -> TrainingPlan:
    """Plan a training of a dataset on a base. Errors as of `recipe_for`, `targeted` and `hardware_for`."""
    import torch

    hardware = hardware_for(settings)
    recipe = recipe_for(base, settings)
    work = work_for(recipe, dataset, hardware)
    with torch.device("meta"):
        model = base.kind(recipe.denoiser).from_config(base.config(recipe.denoiser))
    width = _QUANTIZED.get(settings.quantize, hardware.dtype.itemsize)
    weights = int(sum(one.numel() for one in model.parameters()) * width)
    names = targeted(model, settings.targets, recipe.presets)
    with torch.device("meta"):
        trained = add_adapter(model, settings, names)
    trainable = sum(one.numel() for one in trained)
    memory = weights + (2 + _MOMENTS) * 4 * trainable
    sizes = [frame.size for frame in work.frames]
    order = Order(tuple(sizes), settings.train_batch_size, settings.seed)
    batches = settings.max_train_steps * settings.gradient_accumulation_steps
    return TrainingPlan(
        len(dataset.items),
        {size: sizes.count(size) for size in sorted(set(sizes))},
        order.batches_per_epoch,
        batches / order.batches_per_epoch,
        settings.max_train_steps,
        trainable,
        len(names),
        4 * trainable,
        _checkpoint(trainable),
        saved_bytes(settings, trainable),
        _cached(work),
        weights,
        memory,
        (*dataset.warnings, *hardware.notes, *_notes(memory, hardware)),
    )


def _notes(memory: int, hardware: Hardware) -> Iterator[str]:
    """That the memory is short."""
    free = free_memory(hardware.device)
    if memory > free:
        yield (
            f"{memory / 1e9:.1f} GB are needed before activations, and {free / 1e9:.1f} GB are free:"
            " --mixed-precision bf16, --quantize nf4, a smaller rank or fewer --targets need less"
        )


def saved_bytes(settings: Settings, trainable: int) -> int:
    """What a run takes on the disk: its checkpoints, and the result in three formats."""
    saves = -(-settings.max_train_steps // settings.save_steps)
    kept = min(saves, settings.keep_checkpoints + 1) if settings.keep_checkpoints else saves
    return kept * _checkpoint(trainable) + 3 * 4 * trainable


def _checkpoint(trainable: int) -> int:
    return 4 * trainable * (1 + _MOMENTS)


def _cached(work: Work) -> int:
    """Mean and deviation of the posterior, of each image and its mirror image, in float32."""
    recipe = work.recipe
    config = recipe.base.config("vae")
    channels = config.get("latent_channels") or config.get("z_dim") or 0
    sides = 2 if recipe.settings.random_flip else 1
    area = sum(w * h for w, h in (frame.size for frame in work.frames)) // recipe.vae_scale**2
    return int(2 * 4 * sides * channels * area)
