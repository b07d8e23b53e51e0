"""How an adapter acts, told by PEFT and Diffusers: the weights that their layers merge to."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.oracles.tiny_models import models

Weights = dict[str, Tensor]
"""What an adapter adds, in float64, by component and parameter: ``unet.conv_in.weight``."""


def adapted(model: nn.Module, *, seed: int = 0, **config: Any) -> PeftModel:
    """A copy of `model` wrapped by PEFT, with every tensor of the adapter drawn at random."""
    wrapped = get_peft_model(copy.deepcopy(model), LoraConfig(**config))
    draw = torch.Generator().manual_seed(seed)
    for name, parameter in wrapped.named_parameters():
        if "lora_magnitude_vector" in name:
            parameter.data *= 0.75 + 0.5 * torch.rand(parameter.shape, generator=draw)
        elif "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=draw) * 0.1
    return wrapped


def adapted_pipeline(architecture: str, configs: dict[str, dict[str, Any]]) -> dict[str, PeftModel]:
    """Adapters on the components of a pipeline."""
    return {
        component: adapted(models(architecture)[component], seed=number, **config)
        for number, (component, config) in enumerate(configs.items())
    }


def saved(adapters: dict[str, PeftModel], folder: Path) -> Path:
    """The adapters as PEFT saves them, each in a subfolder named after its component."""
    for component, adapter in adapters.items():
        adapter.save_pretrained(folder / component)
    return folder


def added(component: str, model: nn.Module) -> Weights:
    """What a model's LoRA layers add to its weights and biases: merged, less the base, in float64.

    Layers whose effect is exactly zero are left out: a loader may make more layers than a file has.
    """
    found: Weights = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            assert not any(p.is_meta for p in layer.parameters()), (
                f"{name} was made and never filled"
            )
            doubled = copy.deepcopy(layer).double()
            base = doubled.get_base_layer()
            before = {key: value.clone() for key, value in base.named_parameters()}
            doubled.merge()
            module = name.removeprefix("base_model.model.")
            for key, value in base.named_parameters():
                change = (value - before[key]).detach()
                if change.any():
                    found[f"{component}.{module}.{key}"] = change
    return found


def added_by(adapters: Mapping[str, nn.Module]) -> Weights:
    """What the adapters of a pipeline add."""
    return {
        key: value
        for component, model in adapters.items()
        for key, value in added(component, model).items()
    }


def loaded_by_diffusers(architecture: str, file: Path, *components: str) -> Weights:
    """What Diffusers' pipeline adds after ``load_lora_weights``."""
    parts = {
        name: copy.deepcopy(model)
        for name, model in models(architecture).items()
        if not components or name in components
    }
    pipeline = _pipeline(architecture, parts)
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name)
    return added_by(parts)


def _pipeline(architecture: str, parts: dict[str, nn.Module]) -> Any:
    empty = dict.fromkeys(("vae", "tokenizer", "scheduler"))
    if architecture == "flux":
        return FluxPipeline(
            **empty, tokenizer_2=None, **{"text_encoder": None, "text_encoder_2": None, **parts}
        )
    if architecture == "sdxl":
        return StableDiffusionXLPipeline(
            **empty, tokenizer_2=None, **{"text_encoder": None, "text_encoder_2": None, **parts}
        )
    return StableDiffusionPipeline(
        **empty,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **{"text_encoder": None, **parts},
    )


def loaded_by_peft(architecture: str, folder: Path) -> Weights:
    """What ``PeftModel.from_pretrained`` adds: of a folder, or of one for each component."""
    parts = {name: folder / name for name in models(architecture) if (folder / name).is_dir()}
    if not parts:
        keys = load_file(folder / "adapter_model.safetensors")
        unet = any("up_blocks" in key or "mid_block" in key for key in keys)
        text = any("encoder.layers" in key for key in keys)
        parts = {"unet" if unet else "text_encoder" if text else "transformer": folder}
    loaded = {
        name: PeftModel.from_pretrained(copy.deepcopy(models(architecture)[name]), str(path))
        for name, path in parts.items()
    }
    return added_by(loaded)


def farthest(ours: Weights, theirs: Weights) -> float:
    """The largest relative difference of a weight (Frobenius); the same weights must be touched."""
    assert theirs, "nothing is adapted"
    assert ours.keys() == theirs.keys(), sorted(ours.keys() ^ theirs.keys())[:8]
    return max(float((ours[key] - theirs[key]).norm() / theirs[key].norm()) for key in theirs)
