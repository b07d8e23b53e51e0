"""A layer that cuts patches is a convolution in one model of a family, linear in the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import lora_convert as lc
from lora_convert.operations.adapters import AdapterArrays, ModuleArrays


@pytest.mark.parametrize("kernel", [(), (2, 2)])
def test_its_factors_keep_their_shape(kernel: tuple[int, ...], tmp_path: Path) -> None:
    down = np.ones((3, 8, *kernel), np.float32)
    up = np.ones((16, 3, *(1 for _ in kernel)), np.float32)
    patch = ModuleArrays("transformer", "patch_embed.proj", "lora", {"down": down, "up": up}, 1.0)
    made = AdapterArrays((patch,), "cogvideox", {})
    output = str(tmp_path / "pytorch_lora_weights.safetensors")
    lc.write_adapter(made, output, to="diffusers")
    shapes = {key.rpartition("proj.")[2]: t.shape for key, t in load_file(output).items()}
    assert shapes == {"lora_A.weight": down.shape, "lora_B.weight": up.shape}
