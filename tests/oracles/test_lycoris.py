"""LyCORIS: what it saves is read as it acts, and what is written loads in it and acts the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import lora_convert as lc
from lora_convert.operations.merging import Added, plan_merge

pytest.importorskip("lycoris", reason="lycoris-lora is not installed")

Outputs = dict[str, torch.Tensor]

LAYERS: dict[str, nn.Module] = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": nn.Linear(12, 8, bias=False),
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0": nn.Linear(8, 12),
    "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2": nn.Linear(48, 12),
    "down_blocks.0.resnets.0.conv1": nn.Conv2d(12, 8, 3, padding=1),
    "down_blocks.1.resnets.0.conv_shortcut": nn.Conv2d(8, 12, 1),
}
"""Layers of Stable Diffusion's UNet, of every kind that it has, made small."""

LORA = {"linear_dim": 3, "linear_alpha": 5}
CONFIGS: dict[str, dict[str, Any]] = {
    "lora": {"algo": "lora", **LORA},
    "lora tucker": {"algo": "lora", "use_tucker": True, **LORA},
    "lora scalar": {"algo": "lora", "use_scalar": True, **LORA},
    "dora by rows": {"algo": "lora", "dora_wd": True, **LORA},
    "dora by columns": {"algo": "lora", "dora_wd": True, "wd_on_output": False, **LORA},
    "loha": {"algo": "loha", **LORA},
    "loha tucker": {"algo": "loha", "use_tucker": True, **LORA},
    "loha dora": {"algo": "loha", "dora_wd": True, **LORA},
    "lokr": {"algo": "lokr", "factor": 2, "linear_dim": 1, "linear_alpha": 3},
    "lokr parted": {"algo": "lokr", "decompose_both": True, "linear_dim": 1, "linear_alpha": 3},
    "lokr tucker": {
        "algo": "lokr",
        "use_tucker": True,
        "factor": 2,
        "linear_dim": 1,
        "linear_alpha": 3,
    },
    "lokr whole": {"algo": "lokr", "full_matrix": True, "linear_dim": 4, "linear_alpha": 9},
    "lokr dora": {"algo": "lokr", "dora_wd": True, "factor": 2, "linear_dim": 1},
    "oft": {"algo": "diag-oft", "linear_dim": 4},
    "oft rescaled": {"algo": "diag-oft", "linear_dim": 4, "rescaled": True},
    "oft limited": {"algo": "diag-oft", "linear_dim": 4, "constraint": 1e-2},
    "boft": {"algo": "boft", "linear_dim": 6},
    "boft rescaled": {"algo": "boft", "linear_dim": 6, "rescaled": True},
    "boft limited": {"algo": "boft", "linear_dim": 6, "constraint": 1e-2},
    "ia3": {"algo": "ia3"},
    "glora": {"algo": "glora", **LORA},
    "full": {"algo": "full"},
}


class Tiny(nn.Module):
    """The layers, under their names."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        for name, layer in LAYERS.items():
            parent: nn.Module = self
            *folders, last = name.split(".")
            for folder in folders:
                if folder not in dict(parent.named_children()):
                    parent.add_module(folder, nn.Module())
                parent = parent.get_submodule(folder)
            made = copy.deepcopy(layer)
            for parameter in made.parameters():
                parameter.data = torch.randn_like(parameter)
            parent.add_module(last, made)

    def outputs(self) -> Outputs:
        """Of each layer, for an input of its own."""
        found = {}
        for number, name in enumerate(LAYERS):
            layer = self.get_submodule(name)
            width = LAYERS[name].weight.shape[1]
            shape = (2, width, 5, 5) if isinstance(layer, nn.Conv2d) else (2, width)
            given = torch.randn(shape, generator=torch.Generator().manual_seed(number))
            with torch.no_grad():
                found[name] = layer(given)
        return found


def wrapped(config: dict[str, Any]) -> tuple[Tiny, nn.Module]:
    """A model with LyCORIS's network around its layers."""
    from lycoris import create_lycoris

    model = Tiny()
    network = create_lycoris(model, 1.0, warn_on_unmatched=False, **config)
    network.apply_to()
    return model, network.eval()


def trained(config: dict[str, Any]) -> tuple[Tiny, nn.Module]:
    """The same, with factors that training might have given it."""
    model, network = wrapped(config)
    for name, parameter in network.named_parameters():
        if name.endswith(("rescale", "dora_scale")):
            parameter.data *= 1 + 0.2 * torch.rand_like(parameter)
        elif name.endswith("scalar"):
            parameter.data.fill_(0.5)
        else:
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model, network


def differ(one: Outputs, other: Outputs) -> list[str]:
    """Names of layers whose outputs are not those of the other model."""
    return [name for name in one if not torch.allclose(one[name], other[name], atol=1e-4)]


@pytest.fixture(params=CONFIGS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, ...]]:
    config = CONFIGS[request.param]
    model, network = trained(config)
    file = tmp_path / "trained.safetensors"
    tensors = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, file, {"format": "pt"})
    yield config, model.outputs(), str(file), tmp_path


def test_what_lycoris_saves_is_merged_as_it_acts(case: tuple[Any, ...]) -> None:
    _, wanted, file, folder = case
    base = Tiny()
    assert differ(wanted, base.outputs()) == [*LAYERS], "the adapter does nothing"
    save_file(base.state_dict(), folder / "base.safetensors")
    merged = folder / "merged.safetensors"
    plan_merge(
        [Added(file, 1.0)], into=str(folder / "base.safetensors"), output=str(merged)
    ).apply()
    base.load_state_dict(load_file(merged))
    assert differ(base.outputs(), wanted) == []


def test_what_is_written_loads_in_lycoris(case: tuple[Any, ...]) -> None:
    config, wanted, file, folder = case
    there = lc.convert(file, "kohya", output=str(folder / "k.safetensors"), architecture="sd1")
    back = lc.convert(
        there.output, "lycoris", output=str(folder / "l.safetensors"), architecture="sd1"
    )
    model, network = wrapped(config)
    found = network.load_state_dict(load_file(back.output), strict=False)
    assert found.unexpected_keys == []
    assert [name for name in found.missing_keys if not name.endswith("scalar")] == []
    assert differ(model.outputs(), wanted) == []
