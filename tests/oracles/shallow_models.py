"""Adapters for real classes in their published widths, few blocks deep, and what each layer adds."""

from __future__ import annotations

import copy
import inspect
from functools import cache
from typing import Any

import numpy as np
import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from lora_convert.architectures import ARCHITECTURES, fill, find
from lora_convert.operations.adapters import AdapterArrays, ModuleArrays
from tests.oracles.models import kinds, layers
from tests.oracles.test_geometry import entry_of


@cache
def shallow(architecture: str, component: str) -> nn.Module:
    """A component's class with few blocks, on the meta device. Shared: copy before changing."""
    kind, config = kinds(architecture, component)[0]
    usual = {
        name: parameter.default
        for name, parameter in inspect.signature(kind.__init__).parameters.items()
    }
    deep = {**usual, **config}
    few = {name: 2 for name in DEPTHS if isinstance(deep.get(name), int) and deep[name] > 2}
    few |= SHALLOW.get((architecture, component), {})
    with torch.device("meta"):
        return kind(**{**config, **few})


DEPTHS = (
    *("num_layers", "num_single_layers", "num_mmdit_layers", "num_single_dit_layers"),
    *("num_hidden_layers", "num_visual_blocks", "n_layers", "n_refiner_layers"),
)
SHALLOW: dict[tuple[str, str], dict[str, Any]] = {
    ("sd3", "transformer"): {"dual_attention_layers": (0,)},
    ("hidream", "transformer"): {"llama_layers": [0, 1, 2, 3]},
    ("sdxl", "unet"): {"transformer_layers_per_block": [1, 1, 2]},
    ("kolors", "unet"): {"transformer_layers_per_block": [1, 1, 2]},
    ("sdxl_refiner", "unet"): {"transformer_layers_per_block": 1},
    ("skyreels_v2", "transformer"): {"num_attention_heads": 40},  # of 14B, which sees images
}
"""Arguments that follow the number of blocks, or that an image model has."""

ADAPTABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers that PEFT has LoRAs for."""


def made_for(architecture: str, components: tuple[str, ...], scales: str) -> AdapterArrays:
    """A seeded LoRA on every layer that PEFT can adapt."""
    rng = np.random.default_rng(5)
    modules = []
    for component in components:
        for name, layer in layers(shallow(architecture, component)).items():
            if not isinstance(layer, ADAPTABLE) or getattr(layer, "groups", 1) > 1:
                continue
            entry, digits = entry_of(architecture, component, name, layer)
            module = fill(entry.row.diffusers[entry.member], entry.wildcards(digits))
            rank = int(rng.integers(1, 4)) if scales == "mixed" else 2
            scale = float(rng.choice((0.5, 1.0, 1.75))) if scales == "mixed" else 0.5
            height, width, *kernel = layer.weight.shape
            factors = {
                "down": rng.standard_normal((rank, width, *kernel), dtype="float32"),
                "up": rng.standard_normal((height, rank, *(1 for _ in kernel)), dtype="float32"),
            }
            modules.append(ModuleArrays(component, module, "lora", factors, scale))
    return AdapterArrays(tuple(modules), architecture, {})


Effects = dict[str, np.ndarray]
"""By component and module in the class's names: what is added for some inputs, in float64."""


def _probe(width: int) -> np.ndarray:
    return np.random.default_rng(width).standard_normal((width, 3))


def added_by_factors(down: np.ndarray, up: np.ndarray, scale: float) -> np.ndarray:
    """What a LoRA adds for inputs that are the same for every LoRA of a width."""
    first, second = (np.asarray(f, "float64").reshape(len(f), -1) for f in (down, up))
    return scale * (second @ (first @ _probe(first.shape[1])))


def wanted(made: AdapterArrays) -> Effects:
    """What an adapter adds as it was made."""
    return {
        f"{module.component}.{_in_class(made, module)}": added_by_factors(
            module.tensors["down"], module.tensors["up"], module.scale
        )
        for module in made.modules
    }


def _in_class(made: AdapterArrays, module: ModuleArrays) -> str:
    entry, digits = find(ARCHITECTURES[made.architecture or ""], module.module, module.component)
    assert entry is not None
    return fill(entry.row.names("model")[entry.member], entry.wildcards(digits))


def added(component: str, model: nn.Module) -> Effects:
    """What a model's LoRA layers add, those that add nothing left out."""
    found: Effects = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            [adapter] = layer.active_adapters
            factors = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
            assert not any(f.is_meta for f in factors), f"{name} was made and never filled"
            arrays = [factor.detach().float().numpy() for factor in factors]
            effect = added_by_factors(*arrays, layer.scaling[adapter])
            if effect.any():
                found[f"{component}.{name.removeprefix('base_model.model.')}"] = effect
    return found


def right(found: Effects, expected: Effects) -> bool:
    """Whether every layer adds what it should, and no other adds anything."""
    return found.keys() == expected.keys() and all(
        np.linalg.norm(found[key] - expected[key]) <= 1e-5 * np.linalg.norm(expected[key])
        for key in expected
    )


def fresh(architecture: str, components: tuple[str, ...]) -> dict[str, nn.Module]:
    """Models to load an adapter into: on the CPU, where each weight is one number, shown in every place."""
    models = {name: copy.deepcopy(shallow(architecture, name)) for name in components}
    for model in models.values():
        for layer in model.modules():
            for held in (layer._parameters, layer._buffers):
                for name, tensor in held.items():
                    if tensor is not None:
                        one = torch.ones((), dtype=tensor.dtype).expand(tensor.shape)
                        floats = tensor.is_floating_point() and held is layer._parameters
                        held[name] = nn.Parameter(one, requires_grad=False) if floats else one
    return models
