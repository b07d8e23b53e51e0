"""Files whose names and sizes several models have: asked for where it matters, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from lora_convert.errors import AmbiguousCheckpointError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """One layer that FLUX.1 and FramePack have, in Diffusers' names."""
    path = tmp_path / "video.safetensors"
    module = "transformer.transformer_blocks.0.attn.to_q"
    shapes = {"lora_A": (4, 3072), "lora_B": (3072, 4)}
    draws = np.random.default_rng(0)
    tensors = {
        f"{module}.{part}.weight": draws.standard_normal(shape).astype(np.float32)
        for part, shape in shapes.items()
    }
    save_file(tensors, path, {"format": "pt"})
    return path


def test_names_that_are_written_otherwise_for_each_are_refused(file: Path) -> None:
    with pytest.raises(AmbiguousCheckpointError) as caught:
        lc.convert(file, "comfyui")
    assert {*caught.value.choices} >= {"flux", "framepack"}
    assert "--architecture" in str(caught.value)
    assert lc.convert(file, "comfyui", architecture="flux").output


def test_names_that_stay_as_they_are_need_no_architecture(file: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    lc.convert(file, "peft", output=there)
    lc.convert(there, "diffusers", output=tmp_path / "back.safetensors")
    first, last = load_file(file), load_file(tmp_path / "back.safetensors")
    assert first.keys() == last.keys()
    assert all(np.array_equal(first[key], last[key]) for key in first)


def test_what_applications_make_of_it_hangs_on_the_model(file: Path) -> None:
    with pytest.raises(AmbiguousCheckpointError) as caught:
        lc.check(file)
    assert {*caught.value.choices} >= {"flux", "framepack"}
    assert lc.check(file, architecture="framepack").architecture == "framepack"
