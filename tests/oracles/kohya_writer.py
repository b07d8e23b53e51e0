"""Writes PEFT's layers as kohya's sd-scripts saves them, sharing nothing with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.oracles import kohya_names

if TYPE_CHECKING:
    from peft import PeftModel

PREFIXES = {
    "sd1": {"unet": "lora_unet_", "text_encoder": "lora_te_"},
    "sd2": {"unet": "lora_unet_", "text_encoder": "lora_te_"},
    "sdxl": {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"},
    "flux": {
        "transformer": "lora_unet_",
        "text_encoder": "lora_te1_",
        "text_encoder_2": "lora_te3_",
    },
}


def layers(adapter: PeftModel) -> dict[str, LoraLayer]:
    """The adapted layers, by Diffusers' name."""
    return {
        name.removeprefix("base_model.model."): layer
        for name, layer in adapter.named_modules()
        if isinstance(layer, LoraLayer)
    }


def factors(layer: LoraLayer) -> tuple[Tensor, Tensor, float]:
    """``down``, ``up`` and the factor that PEFT multiplies them by."""
    return (
        layer.lora_A["default"].weight.detach(),
        layer.lora_B["default"].weight.detach(),
        float(layer.scaling["default"]),
    )


def write(architecture: str, adapters: dict[str, PeftModel], file: Path) -> Path:
    """One file of all components, module by module: FLUX's fused layers are for `write_fused`."""
    tensors: dict[str, Tensor] = {}
    for component, adapter in adapters.items():
        for name, layer in layers(adapter).items():
            stem = PREFIXES[architecture][component] + _named(architecture, component)(name)
            down, up, scale = factors(layer)
            _put(tensors, stem, down, up, scale * down.shape[0])
            if layer.lora_magnitude_vector:
                magnitude = layer.lora_magnitude_vector["default"].weight.detach().flatten()
                tensors[f"{stem}.dora_scale"] = magnitude.reshape(
                    -1, *(1,) * (up.dim() - 1)
                ).contiguous()
    save_file(tensors, file, {"ss_network_module": "networks.lora"})
    return file


def _named(architecture: str, component: str) -> Callable[[str], str]:
    if component == "unet" and architecture == "sdxl":
        return kohya_names.sgm
    if component == "text_encoder":
        return lambda name: "text_model_" + kohya_names.flattened(name)
    return kohya_names.flattened


def _put(tensors: dict[str, Tensor], stem: str, down: Tensor, up: Tensor, alpha: float) -> None:
    tensors[f"{stem}.lora_down.weight"] = down.contiguous()
    tensors[f"{stem}.lora_up.weight"] = up.contiguous()
    tensors[f"{stem}.alpha"] = torch.tensor(alpha)


Widths = dict[str, tuple[int, int]]
"""(out, in) of Diffusers' layers."""


def drawn_flux(
    file: Path, double: int, single: int, widths: Widths, *, rank: int, split: bool = False
) -> Path:
    """A FLUX file of random factors on kohya's own layers, with alpha half of the rank.

    With `split`, each part of a fused layer has a share of the rank: ``up`` is block-diagonal.
    """
    draw = torch.Generator().manual_seed(3)
    tensors: dict[str, Tensor] = {}
    for layer in kohya_names.flux(double, single):
        heights = [widths[part][0] for part in layer.parts]
        down = torch.randn(rank, widths[layer.parts[0]][1], generator=draw) * 0.1
        up = torch.randn(sum(heights), rank, generator=draw) * 0.1
        if split:
            share = rank // len(heights)
            own = torch.block_diag(*(torch.ones(height, share) for height in heights)).bool()
            up = up.where(own, 0)
        _put(tensors, f"lora_unet_{layer.name}", down, up, rank / 2)
    save_file(tensors, file, {"ss_network_module": "networks.lora_flux"})
    return file


def added_by_flux(file: Path, double: int, single: int, widths: Widths) -> dict[str, Tensor]:
    """What a FLUX file adds to each of Diffusers' layers, cut out of the fused products."""
    tensors = load_file(file)
    found: dict[str, Tensor] = {}
    for layer in kohya_names.flux(double, single):
        stem = f"lora_unet_{layer.name}"
        if f"{stem}.lora_down.weight" not in tensors:
            continue
        down, up = (tensors[f"{stem}.lora_{word}.weight"].double() for word in ("down", "up"))
        product = float(tensors[f"{stem}.alpha"]) / down.shape[0] * (up @ down)
        if layer.halves_swapped:
            product = torch.cat(product.chunk(2)[::-1])
        pieces = product.split([widths[part][0] for part in layer.parts])
        found |= {
            f"transformer.{part}.weight": piece
            for part, piece in zip(layer.parts, pieces, strict=True)
            if piece.any()
        }
    return found
