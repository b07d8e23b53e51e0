"""What a format cannot say is refused with what can."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import lora_convert as lc
from lora_convert.errors import NotExpressibleError
from lora_convert.operations.adapters import AdapterArrays, ModuleArrays

_PART = "transformer_blocks.0.attn"


def _factors(**more: np.ndarray) -> dict[str, np.ndarray]:
    factors = {"down": np.ones((2, 4), np.float32), "up": np.ones((4, 2), np.float32)}
    return {**factors, **more}


def _refused(folder: Path, architecture: str | None, *modules: ModuleArrays) -> NotExpressibleError:
    made = AdapterArrays(modules, architecture, {})
    with pytest.raises(NotExpressibleError) as caught:
        lc.write_adapter(made, os.fspath(folder / "kohya.safetensors"), to="kohya")
    return caught.value


def test_a_bias_in_kohya_s_names(tmp_path: Path) -> None:
    module = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k"
    factors = _factors(bias=np.ones(4, np.float32))
    error = _refused(tmp_path, "sd1", ModuleArrays("unet", module, "lora", factors, 1.0))
    assert "bias" in error.what
    assert error.hint == "--to peft or accelerate or diffusers can hold it"


def test_parts_of_one_module_that_are_not_alike(tmp_path: Path) -> None:
    plain = ModuleArrays("transformer", f"{_PART}.to_q", "lora", _factors(), 1.0)
    magnitude = np.ones(4, np.float32)
    dora = ModuleArrays("transformer", f"{_PART}.to_k", "dora", _factors(magnitude=magnitude), 1.0)
    error = _refused(tmp_path, "flux", plain, dora)
    assert "mix dora and lora" in error.what
    assert error.hint.startswith("lora-convert pipeline ")


def test_an_alpha_that_is_too_large(tmp_path: Path) -> None:
    module = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k"
    error = _refused(tmp_path, "sd1", ModuleArrays("unet", module, "lora", _factors(), 1e39))
    assert "--scale-from" in error.hint
