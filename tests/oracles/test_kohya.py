"""kohya's files act in Diffusers and PEFT as trained; Diffusers reads those written as meant."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import FluxTransformer2DModel
from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import lora_convert as lc
from tests.oracles import kohya_writer
from tests.oracles.acting import (
    adapted_pipeline,
    added_by,
    farthest,
    loaded_by_diffusers,
    loaded_by_peft,
    saved,
)
from tests.oracles.cases import BACKBONES, CLIP, SHAPES_OF_SCALE, configs
from tests.oracles.tiny_models import models

ROUNDING = 1e-6
"""Of fp32: an alpha may have no exact value there, and FLUX's fused layers are folded."""

EXACTLY = 1e-14
"""The same values multiplied in another order, in float64."""

UNETS = ("sd1", "sd2", "sdxl")


@pytest.mark.parametrize("scale", ["ranks and alphas per module", "DoRA, per module"])
@pytest.mark.parametrize("architecture", UNETS)
def test_kohya_to_both(architecture: str, scale: str, tmp_path: Path) -> None:
    """A trainer's file in kohya's names, every module with an alpha of its own, DoRA included."""
    adapters = adapted_pipeline(architecture, configs(architecture, SHAPES_OF_SCALE[scale]))
    source = kohya_writer.write(architecture, adapters, tmp_path / "trained.safetensors")
    expected = added_by(adapters)
    for to, load in (("diffusers", loaded_by_diffusers), ("peft", loaded_by_peft)):
        result = lc.convert(str(source), to, output=str(tmp_path / to))
        assert farthest(load(architecture, Path(result.output)), expected) <= ROUNDING


@pytest.mark.parametrize("architecture", UNETS)
def test_written_is_what_a_trainer_writes(architecture: str, tmp_path: Path) -> None:
    """The same keys, shapes, factors and alphas as another writer's, for all kinds of layers."""
    adapters = adapted_pipeline(
        architecture, configs(architecture, SHAPES_OF_SCALE["ranks and alphas per module"])
    )
    theirs = load_file(kohya_writer.write(architecture, adapters, tmp_path / "theirs.safetensors"))
    result = lc.convert(
        str(saved(adapters, tmp_path / "peft")), "kohya", output=str(tmp_path / "ours.safetensors")
    )
    ours = load_file(result.output)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs if not key.endswith(".alpha"))
    assert all(
        abs(ours[key] / theirs[key] - 1) < ROUNDING for key in theirs if key.endswith(".alpha")
    )


@pytest.mark.parametrize("architecture", UNETS)
def test_written_loads_in_diffusers(architecture: str, tmp_path: Path) -> None:
    """Diffusers' own reader gives the same weights; with one alpha for all, as it loses others."""
    backbone, targets = BACKBONES[architecture]
    chosen = {
        backbone: {"r": 4, "lora_alpha": 8, "target_modules": _read_by_diffusers(targets)},
        "text_encoder": {"r": 4, "lora_alpha": 8, "target_modules": CLIP},
    }
    adapters = adapted_pipeline(architecture, chosen)
    result = lc.convert(
        str(saved(adapters, tmp_path / "peft")), "kohya", output=str(tmp_path / "ours.safetensors")
    )
    assert farthest(loaded_by_diffusers(architecture, Path(result.output)), added_by(adapters)) == 0


def _read_by_diffusers(targets: list[str]) -> list[str]:
    """Layers that its reader of kohya's names has a rule for, in every one of these UNets."""
    return [target for target in targets if target not in {"conv_in", "conv_out", "linear_1"}]


def widths_of(flux: nn.Module) -> kohya_writer.Widths:
    return {
        name.removesuffix(".weight"): tuple(weight.shape)
        for name, weight in flux.named_parameters()
        if weight.dim() == 2
    }


@pytest.mark.parametrize(
    "split", [False, True], ids=["one adapter for a fused layer", "one for each part"]
)
def test_fused_flux_to_both(split: bool, tmp_path: Path) -> None:
    """Fused layers are cut into Diffusers', and the last layer's halves change places."""
    widths = widths_of(models("flux")["transformer"])
    source = kohya_writer.drawn_flux(
        tmp_path / "fused.safetensors", 2, 2, widths, rank=12, split=split
    )
    expected = kohya_writer.added_by_flux(source, 2, 2, widths)
    for to, load in (("diffusers", loaded_by_diffusers), ("peft", loaded_by_peft)):
        result = lc.convert(str(source), to, output=str(tmp_path / to))
        assert farthest(load("flux", Path(result.output)), expected) <= EXACTLY


@pytest.mark.parametrize("scale", [scale for scale in SHAPES_OF_SCALE if "DoRA" not in scale])
def test_parts_of_flux_are_fused(scale: str, tmp_path: Path) -> None:
    """Layers with ranks and scales of their own make kohya's fused ones, missing parts included."""
    config = {
        "target_modules": [target for target in BACKBONES["flux"][1] if target != "add_k_proj"],
        **SHAPES_OF_SCALE[scale],
    }
    adapters = adapted_pipeline("flux", {"transformer": config})
    result = lc.convert(
        str(saved(adapters, tmp_path / "peft")), "kohya", output=str(tmp_path / "ours.safetensors")
    )
    widths = widths_of(models("flux")["transformer"])
    assert (
        farthest(kohya_writer.added_by_flux(Path(result.output), 2, 2, widths), added_by(adapters))
        <= ROUNDING
    )


UNSCALED = ("transformer.proj_out", "transformer.norm_out.linear")
"""Diffusers drops the alphas of a FLUX file's last layer: its weights are twice too large here."""


@pytest.mark.parametrize(
    "split", [False, True], ids=["one adapter for a fused layer", "one for each part"]
)
def test_fused_flux_as_diffusers_cuts_it(split: bool, tmp_path: Path) -> None:
    """Against Diffusers' reader of kohya's FLUX, at the one width it knows; no model is made."""
    with init_empty_weights():
        widths = widths_of(
            FluxTransformer2DModel(num_layers=1, num_single_layers=1, guidance_embeds=True)
        )
    source = kohya_writer.drawn_flux(
        tmp_path / "fused.safetensors", 1, 1, widths, rank=12, split=split
    )
    theirs = {
        f"transformer.{key.removeprefix('transformer.')}": tensor
        for key, tensor in _convert_kohya_flux_lora_to_diffusers(load_file(source)).items()
    }
    ours = load_file(lc.convert(str(source), "diffusers", output=str(tmp_path)).output)
    assert {key: tensor.shape for key, tensor in ours.items()} == {
        key: t.shape for key, t in theirs.items()
    }
    probe = torch.randn(16_384, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for module in {key.rpartition(".lora_")[0] for key in theirs}:
        mine = 0.5 * _acting(ours, module, probe)
        other = _acting(theirs, module, probe) * (0.5 if module in UNSCALED else 1)
        assert float((mine - other).norm() / other.norm()) <= EXACTLY


def test_written_flux_loads_in_diffusers(tmp_path: Path) -> None:
    """A fused file that was cut and fused again is read by Diffusers as the first one is."""
    with init_empty_weights():
        widths = widths_of(
            FluxTransformer2DModel(num_layers=1, num_single_layers=1, guidance_embeds=True)
        )
    first = kohya_writer.drawn_flux(tmp_path / "first.safetensors", 1, 1, widths, rank=4)
    cut = lc.convert(str(first), "diffusers", output=str(tmp_path / "cut.safetensors"))
    again = lc.convert(cut.output, "kohya", output=str(tmp_path / "again.safetensors"))
    ours, theirs = (
        _convert_kohya_flux_lora_to_diffusers(load_file(file)) for file in (again.output, first)
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def _acting(tensors: dict[str, Tensor], module: str, probe: Tensor) -> Tensor:
    down, up = (tensors[f"{module}.lora_{letter}.weight"].double() for letter in "AB")
    return up @ (down @ probe[: down.shape[1]])


def test_tucker_core(tmp_path: Path) -> None:
    """A 3×3 convolution in three factors acts as their product; Diffusers has room for two."""
    draw = torch.Generator().manual_seed(1)
    outer, inner, channels = 4, 3, 32
    down, mid, up = (
        torch.randn(shape, generator=draw)
        for shape in ((inner, channels, 1, 1), (outer, inner, 3, 3), (channels, outer, 1, 1))
    )
    stem = "lora_unet_down_blocks_0_resnets_0_conv1"
    save_file(
        {
            f"{stem}.lora_down.weight": down,
            f"{stem}.lora_mid.weight": mid,
            f"{stem}.lora_up.weight": up,
            f"{stem}.alpha": torch.tensor(2.0),
        },
        tmp_path / "tucker.safetensors",
    )
    matrices = [factor.double().flatten(1) for factor in (up, down)]
    product = torch.einsum("or,si,rskl->oikl", *matrices, mid.double())
    expected = {"unet.down_blocks.0.resnets.0.conv1.weight": 2 / inner * product}
    result = lc.convert(
        str(tmp_path / "tucker.safetensors"), "diffusers", output=str(tmp_path), architecture="sd1"
    )
    assert farthest(loaded_by_diffusers("sd1", Path(result.output), "unet"), expected) <= ROUNDING


def test_t5_through_kohya(tmp_path: Path) -> None:
    """FLUX's T5: sd-scripts calls it ``te3``; Diffusers loads no LoRA into it, PEFT does."""
    config = {"r": 4, "lora_alpha": 8, "target_modules": ["q", "k", "v", "o", "wi_0", "wi_1", "wo"]}
    adapters = adapted_pipeline("flux", {"text_encoder_2": config})
    source = kohya_writer.write("flux", adapters, tmp_path / "te3.safetensors")
    result = lc.convert(str(source), "peft", output=str(tmp_path / "peft"))
    loaded = PeftModel.from_pretrained(
        copy.deepcopy(models("flux")["text_encoder_2"]), result.output
    )
    assert farthest(added_by({"text_encoder_2": loaded}), added_by(adapters)) == 0
