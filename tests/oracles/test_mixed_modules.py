"""Modules not all of one kind, where a configuration says DoRA, or biases, for all."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import lora_convert as lc
from tests.oracles import kohya_writer
from tests.oracles.acting import (
    Weights,
    adapted_pipeline,
    added_by,
    farthest,
    loaded_by_diffusers,
    loaded_by_peft,
    saved,
)


@pytest.mark.parametrize("to", ["diffusers", "peft"])
def test_dora_beside_lora(to: str, tmp_path: Path) -> None:
    """PEFT gives every module a magnitude where one has it: this is refused, or acts the same."""
    layers = {"dora": r".*attn1\.to_q", "lora": r".*attn2\.to_q"}
    tensors: Weights = {}
    expected: Weights = {}
    for kind, targets in layers.items():
        config = {"r": 4, "lora_alpha": 8, "target_modules": targets, "use_dora": kind == "dora"}
        adapters = adapted_pipeline("sd1", {"unet": config})
        file = kohya_writer.write("sd1", adapters, tmp_path / f"{kind}.safetensors")
        tensors |= load_file(file)
        expected |= added_by(adapters)
    source = tmp_path / "both.safetensors"
    save_file(tensors, source, {"ss_network_module": "networks.lora"})
    try:
        result = lc.convert(str(source), to, output=str(tmp_path / "out"))
    except lc.errors.NotExpressibleError:
        return
    load = loaded_by_diffusers if to == "diffusers" else loaded_by_peft
    assert farthest(load("sd1", Path(result.output)), expected) <= 1e-6


@pytest.mark.parametrize("to", ["diffusers", "peft"])
def test_biases_of_some_modules(to: str, tmp_path: Path) -> None:
    """A module without a trained bias gets none, or one of zeros."""
    config = {
        "r": 4,
        "lora_alpha": 8,
        "lora_bias": True,
        "target_modules": ["to_out.0", "ff.net.2"],
    }
    adapters = adapted_pipeline("sd1", {"unet": config})
    for name, layer in kohya_writer.layers(adapters["unet"]).items():
        if name.endswith("ff.net.2"):
            layer.lora_B["default"].bias.data.zero_()
    source = saved(adapters, tmp_path / "peft") / "unet"
    weights = source / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file(
        {key: t for key, t in tensors.items() if not key.endswith("ff.net.2.lora_B.bias")}, weights
    )
    result = lc.convert(str(source), to, output=str(tmp_path / "out"))
    load = loaded_by_diffusers if to == "diffusers" else loaded_by_peft
    assert farthest(load("sd1", Path(result.output)), added_by(adapters)) == 0
