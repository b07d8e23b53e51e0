"""What is written for Diffusers acts there as it did in PEFT: every module's weight is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file

import lora_convert as lc
from tests.oracles.acting import adapted_pipeline, added_by, farthest, loaded_by_diffusers, saved
from tests.oracles.cases import ATTENTION, BACKBONES, SHAPES_OF_SCALE, configs

PLAIN = SHAPES_OF_SCALE["alpha is not rank"]


@pytest.mark.parametrize("scale", SHAPES_OF_SCALE)
@pytest.mark.parametrize("architecture", BACKBONES)
def test_peft_to_diffusers(architecture: str, scale: str, tmp_path: Path) -> None:
    """PEFT's adapters of all components, in one file: the same tensors, the same scales."""
    adapters = adapted_pipeline(architecture, configs(architecture, SHAPES_OF_SCALE[scale]))
    result = lc.convert(
        str(saved(adapters, tmp_path / "peft")), "diffusers", output=str(tmp_path / "out")
    )
    assert farthest(loaded_by_diffusers(architecture, Path(result.output)), added_by(adapters)) == 0


@pytest.mark.parametrize("component", ["unet", "text_encoder", "text_encoder_2"])
def test_one_component_alone(component: str, tmp_path: Path) -> None:
    """A file without the pipeline's other components loads: the header speaks of those present."""
    adapters = adapted_pipeline("sdxl", {component: configs("sdxl", PLAIN)[component]})
    source = saved(adapters, tmp_path / "peft") / component
    result = lc.convert(str(source), "diffusers", output=str(tmp_path), component=component)
    assert farthest(loaded_by_diffusers("sdxl", Path(result.output)), added_by(adapters)) == 0


def test_linear_projections_of_a_narrow_unet(tmp_path: Path) -> None:
    """SD1 and SD2 share names: where no width tells them apart, factors keep their shapes."""
    adapters = adapted_pipeline(
        "sd2, narrow", {"unet": {"target_modules": ["proj_in", "to_q"], **PLAIN}}
    )
    result = lc.convert(
        str(saved(adapters, tmp_path / "peft") / "unet"), "diffusers", output=str(tmp_path)
    )
    assert (
        farthest(loaded_by_diffusers("sd2, narrow", Path(result.output)), added_by(adapters)) == 0
    )


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_narrower_dtype(dtype: str, tmp_path: Path) -> None:
    """Asked for, every factor is rounded as torch rounds it, and Diffusers applies just those."""
    adapters = adapted_pipeline("sd1", {"unet": {"target_modules": ATTENTION, **PLAIN}})
    source = saved(adapters, tmp_path / "peft") / "unet"
    result = lc.convert(str(source), "diffusers", output=str(tmp_path), dtype=dtype)
    kept = load_file(lc.convert(str(source), "diffusers", output=str(tmp_path / "kept")).output)
    wanted = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    assert all(torch.equal(t, kept[key].to(wanted)) for key, t in load_file(result.output).items())
    for parameter in adapters["unet"].parameters():
        parameter.data = (
            parameter.data.to(wanted).float() if parameter.requires_grad else parameter.data
        )
    assert farthest(loaded_by_diffusers("sd1", Path(result.output)), added_by(adapters)) == 0


@pytest.mark.parametrize("layer", ["fc1", "text_projection"])
def test_text_encoder_without_attention(layer: str, tmp_path: Path) -> None:
    """Diffusers tells a text encoder's spelling by its attention keys; without any it loads too."""
    adapters = adapted_pipeline("sdxl", {"text_encoder_2": {"target_modules": [layer], **PLAIN}})
    source = str(saved(adapters, tmp_path / "peft") / "text_encoder_2")
    result = lc.convert(
        source, "diffusers", output=str(tmp_path), component="text_encoder_2", architecture="sdxl"
    )
    assert farthest(loaded_by_diffusers("sdxl", Path(result.output)), added_by(adapters)) == 0


def test_component_tells_the_architecture(tmp_path: Path) -> None:
    """CLIP as the second text encoder is SDXL's alone."""
    adapters = adapted_pipeline("sdxl", {"text_encoder_2": {"target_modules": ["q_proj"], **PLAIN}})
    source = saved(adapters, tmp_path / "peft") / "text_encoder_2"
    result = lc.convert(str(source), "diffusers", output=str(tmp_path), component="text_encoder_2")
    assert farthest(loaded_by_diffusers("sdxl", Path(result.output)), added_by(adapters)) == 0


def test_what_diffusers_never_loads_is_a_loss(tmp_path: Path) -> None:
    """FLUX's T5 has its place in the file, but no pipeline of Diffusers loads a LoRA into it."""
    adapters = adapted_pipeline("flux", {"text_encoder_2": {"target_modules": ["q"], **PLAIN}})
    with lc.plan_convert(str(saved(adapters, tmp_path)), "diffusers") as plan:
        assert "text_encoder_2" not in FluxPipeline._lora_loadable_modules
        assert [loss.kind for loss in plan.losses] == ["reader gap"]
