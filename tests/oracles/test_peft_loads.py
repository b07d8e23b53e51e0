"""What is written for PEFT acts there as before: right names, ranks and alphas are configured."""

from __future__ import annotations

from pathlib import Path

import pytest

import lora_convert as lc
from tests.oracles.acting import (
    adapted_pipeline,
    added_by,
    farthest,
    loaded_by_diffusers,
    loaded_by_peft,
    saved,
)
from tests.oracles.cases import (
    BACKBONES,
    PER_MODULE_SCALES,
    SHAPES_OF_SCALE,
    TWO_PROJECTIONS,
    configs,
)


@pytest.mark.parametrize("scale", PER_MODULE_SCALES)
@pytest.mark.parametrize("architecture", BACKBONES)
def test_diffusers_to_peft(architecture: str, scale: str, tmp_path: Path) -> None:
    """Through Diffusers' one file and back: a folder a component, acting as the first ones did."""
    adapters = adapted_pipeline(architecture, configs(architecture, SHAPES_OF_SCALE[scale]))
    there = lc.convert(
        str(saved(adapters, tmp_path / "first")), "diffusers", output=str(tmp_path / "one")
    )
    back = lc.convert(there.output, "peft", output=str(tmp_path / "second"))
    assert farthest(loaded_by_peft(architecture, Path(back.output)), added_by(adapters)) == 0


@pytest.mark.parametrize("case", TWO_PROJECTIONS)
@pytest.mark.parametrize("to", ["diffusers", "peft"])
def test_a_name_that_ends_another(case: str, to: str, tmp_path: Path) -> None:
    """Each layer has its own rank and alpha, and no other layer is touched."""
    adapters = adapted_pipeline("flux", {"transformer": TWO_PROJECTIONS[case]})
    source = saved(adapters, tmp_path / "first") / "transformer"
    result = lc.convert(str(source), to, output=str(tmp_path / "second"))
    load = loaded_by_diffusers if to == "diffusers" else loaded_by_peft
    assert farthest(load("flux", Path(result.output)), added_by(adapters)) == 0


@pytest.mark.parametrize("to", ["diffusers", "peft"])
def test_trained_biases(to: str, tmp_path: Path) -> None:
    """``lora_bias``: a bias beside ``up``, under the same scale."""
    config = {
        "r": 4,
        "lora_alpha": 8,
        "lora_bias": True,
        "target_modules": ["to_out.0", "ff.net.2"],
    }
    adapters = adapted_pipeline("sd1", {"unet": config})
    result = lc.convert(
        str(saved(adapters, tmp_path / "first") / "unet"), to, output=str(tmp_path / "second")
    )
    load = loaded_by_diffusers if to == "diffusers" else loaded_by_peft
    assert farthest(load("sd1", Path(result.output)), added_by(adapters)) == 0
