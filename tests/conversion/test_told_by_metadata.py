"""Architectures that share their names: the trainer's metadata say which it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import lora_convert as lc

WIDTH = 3072


def saved(path: Path, base: str | None, blocks: int = 19) -> str:
    """What Chroma and FLUX.1 both have, as kohya names it."""
    tensors = {}
    for block in range(blocks):
        for module, height in (("img_attn_qkv", 3), ("img_attn_proj", 1)):
            name = f"lora_unet_double_blocks_{block}_{module}"
            tensors[f"{name}.lora_down.weight"] = np.ones((1, WIDTH), "f2")
            tensors[f"{name}.lora_up.weight"] = np.ones((height * WIDTH, 1), "f2")
            tensors[f"{name}.alpha"] = np.ones((), "f2")
    save_file(tensors, path, {"ss_base_model_version": base} if base else None)
    return str(path)


@pytest.mark.parametrize(
    ("base", "architecture"),
    [(None, "flux"), ("flux1", "flux"), ("chroma", "chroma"), ("sd_v1", "flux"), ("", "flux")],
)
def test_the_metadata_decide_between_names_that_fit_alike(
    base: str | None, architecture: str, tmp_path: Path
) -> None:
    found = lc.inspect(saved(tmp_path / "lora.safetensors", base))
    assert (found.format, found.architecture, found.unexplained) == ("kohya", architecture, ())
    assert ("kohya", "flux") in [(one.format, one.architecture) for one in found.candidates]


def test_what_the_metadata_say_travels(tmp_path: Path) -> None:
    source = saved(tmp_path / "lora.safetensors", "chroma")
    there = lc.convert(source, "diffusers", output=str(tmp_path / "there.safetensors")).output
    lc.convert(there, "kohya", output=str(tmp_path / "back.safetensors"), architecture="chroma")
    assert lc.inspect(str(tmp_path / "back.safetensors")).architecture == "chroma"
    assert lc.verify(source, str(tmp_path / "back.safetensors")).exact
