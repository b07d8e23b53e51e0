"""Optimizers and how their learning rate goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert.errors import LoraConvertError

if TYPE_CHECKING:
    import torch

    from lora_convert_train.settings import Settings


def optimizer_for(parameters: list[torch.nn.Parameter], settings: Settings) -> Any:
    """An optimizer over parameters; LoraConvertError where its package is not installed."""
    import torch

    name, rate, decay = settings.optimizer, settings.learning_rate, settings.weight_decay
    try:
        if name == "adamw8bit":
            import bitsandbytes

            return bitsandbytes.optim.AdamW8bit(parameters, lr=rate, weight_decay=decay)
        if name == "prodigy":
            import prodigyopt

            return prodigyopt.Prodigy(parameters, lr=rate, weight_decay=decay)
        if name == "schedulefree":
            import schedulefree

            return schedulefree.AdamWScheduleFree(parameters, lr=rate, weight_decay=decay)
    except ImportError as error:
        raise LoraConvertError(
            f"--optimizer {name} needs a package that is not installed",
            hint='pip install "lora-convert[optimizers]", or: --optimizer adamw',
        ) from error
    if name == "adafactor":
        return torch.optim.Adafactor(parameters, lr=rate, weight_decay=decay)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


def scheduler_for(optimizer: Any, settings: Settings) -> Any:
    """The learning rate over all steps."""
    from diffusers.optimization import get_scheduler

    return get_scheduler(
        settings.lr_scheduler,
        optimizer,
        num_warmup_steps=settings.lr_warmup_steps,
        num_training_steps=settings.max_train_steps,
    )
