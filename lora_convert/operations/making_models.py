"""A model with adapters made of its base and a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from lora_convert.conversion.detect import detect
from lora_convert.conversion.gather import adapters
from lora_convert.errors import MissingExtraError, NotExpressibleError, OptionError
from lora_convert.operations.adapter_configs import configs_in, in_words_of_peft
from lora_convert.operations.addresses import resolved
from lora_convert.operations.checkpoint_files import DEFAULT
from lora_convert.operations.live_models import layers_of, unwrapped
from lora_convert.operations.loading_checkpoints import load_checkpoint, weights_by_adapter
from lora_convert.storage.checkpoint import Checkpoint

if TYPE_CHECKING:
    from torch.nn import Module

Base = TypeVar("Base", bound="Module")


def model_from_checkpoint(path: str | os.PathLike[str], base: Base) -> Base:
    """Put a checkpoint's adapters into a model, which is returned: it is changed, and keeps its class.

    Each adapter is made by the configuration in the checkpoint, under its own name, and loaded strictly; the
    first is active. Classes of Diffusers and Transformers know their adapters afterwards (``set_adapter``).
    Where the checkpoint holds a whole model, its frozen weights are loaded too.

    OptionError where the model has adapters already; CheckpointNotFoundError where the checkpoint has no
    configuration; NotExpressibleError for kinds of adapters that the installed PEFT has not;
    ModelMismatchError where the base is another one.
    """
    import torch

    path = resolved(os.fspath(path))
    module = unwrapped(base)
    if any(layers_of(module)):
        why = "it has adapters already"
        hint = "give the base, or load into them with lc.load_checkpoint"
        raise OptionError("base", type(module).__name__, why=why, hint=hint)
    with torch.random.fork_rng(devices=[]):  # what adapters begin with is drawn, and then replaced
        configs = _named(path, configs_in(path))
        for name, config in configs.items():
            _add(module, config, name, path)
    for _, layer in layers_of(module):
        layer.set_adapter(next(iter(configs)))
    load_checkpoint(path, base)
    return base


def _named(path: str, configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Configurations by their adapters' names: one without is of what its tensors say, or of "default"."""
    if "" not in configs:
        return {**configs}
    weights = next(iter(weights_by_adapter(path)))[1]
    with Checkpoint(weights) as checkpoint:
        inside = [
            name for name in adapters(detect(checkpoint.header)) if name and name not in configs
        ]
    named = inside or [DEFAULT]
    rest = {name: config for name, config in configs.items() if name}
    return {**dict.fromkeys(named, configs[""]), **rest}


def _add(module: Module, fields: Mapping[str, Any], name: str, path: str) -> None:
    try:
        from peft import PeftConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingExtraError("making adapters", "diffusers") from error

    try:
        config = PeftConfig.from_peft_type(  # type: ignore[no-untyped-call]
            **{"peft_type": "LORA", **in_words_of_peft(fields), "inference_mode": False}
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotExpressibleError(
            f"{path}: PEFT cannot make adapter {name!r}",
            why=f"{type(error).__name__}: {error}",
            hint="pip install --upgrade peft",
        ) from error
    add = getattr(module, "add_adapter", None)
    if add:
        add(adapter_config=config, adapter_name=name)
    else:
        inject_adapter_in_model(config, module, adapter_name=name)
