"""Batches of real runs, as Diffusers loads what they make."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from tests.hostile.answering import answer
from tests.oracles.acting import adapted
from tests.oracles.tiny_models import models
from tests.oracles.tiny_pipelines import picture, save_pipeline

TARGETS = {"r": 4, "lora_alpha": 8, "target_modules": ["to_q", "to_v"]}
STEPS = (100, 200)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline("sd1", tmp_path_factory.mktemp("bases") / "sd1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of whole wrapped models, as Accelerate saves them, and the adapter it ended with."""
    folder = tmp_path_factory.mktemp("runs") / "my-run"
    for seed, step in enumerate(STEPS):
        wrapped = adapted(models("sd1")["unet"], seed=seed, **TARGETS)
        at = folder / "checkpoints" / f"checkpoint-{step}"
        at.mkdir(parents=True)
        weights = {name: value.clone() for name, value in wrapped.state_dict().items()}
        save_file(weights, at / "model.safetensors")
        wrapped.save_pretrained(folder / "lora_weights")
    return folder


def loaded(folder: Path, **how: Any) -> Any:
    return DiffusionPipeline.from_pretrained(folder, **how)


@pytest.mark.parametrize("layout", ["split", "full"])
@pytest.mark.parametrize("link", ["auto", "symlink"])
def test_every_checkpoint_loads_and_draws_what_it_learnt(
    layout: str, link: str, base: Path, run: Path, tmp_path: Path
) -> None:
    here = shutil.copytree(run, tmp_path / "my-run")
    options = ["--base", str(base), "--layout", layout, "--link", link]
    assert answer(["batch", *options, str(here)]).exit_code == 0
    drawn = [picture(loaded(base), "sd1")]
    for seed, step in enumerate(STEPS):
        pipeline = loaded(here / "checkpoint_pipelines" / f"checkpoint-{step}")
        expected = adapted(models("sd1")["unet"], seed=seed, **TARGETS).merge_and_unload()
        theirs = expected.state_dict()
        for name, value in pipeline.unet.state_dict().items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-6, atol=1e-7)
        drawn.append(picture(pipeline, "sd1"))
    final = picture(loaded(here / "final_pipeline"), "sd1")
    assert torch.equal(final, drawn[-1]), "the last checkpoint is what training ended with"
    for number, one in enumerate(drawn):
        for other in drawn[:number]:
            assert (one - other).abs().max() > 1e-3


def test_frozen_weights_that_are_not_the_bases_are_kept(
    base: Path, run: Path, tmp_path: Path
) -> None:
    """Checkpoints of another base than the one named: theirs count, and lie in the store once."""
    here = shutil.copytree(run, tmp_path / "my-run")
    for step in STEPS:
        path = here / f"checkpoints/checkpoint-{step}/model.safetensors"
        weights = load_file(path)
        weights["base_model.model.conv_in.bias"] += 1
        save_file(weights, path)
    assert answer(["batch", "--base", str(base), "--every", "100", str(here)]).exit_code == 0
    mine = models("sd1")["unet"].conv_in.bias
    shards = []
    for step in STEPS:
        folder = here / f"checkpoint_pipelines/checkpoint-{step}"
        assert torch.equal(loaded(folder).unet.conv_in.bias, mine + 1)
        shards.append(folder / "unet/diffusion_pytorch_model-00001-of-00002.safetensors")
    assert shards[0].samefile(shards[1])


def test_half_precision_in_the_store(base: Path, run: Path, tmp_path: Path) -> None:
    here = shutil.copytree(run, tmp_path / "my-run")
    command = ["batch", "--base", str(base), "--dtype", "bf16", "--scale", "0.5", str(here)]
    assert answer(command).exit_code == 0
    unet = loaded(here / "checkpoint_pipelines/checkpoint-100", dtype=torch.bfloat16).unet
    whole = models("sd1")["unet"].state_dict()
    wrapped = adapted(models("sd1")["unet"], seed=0, **TARGETS).merge_and_unload().state_dict()
    for name, value in unet.state_dict().items():
        expected = (whole[name].double() + wrapped[name].double()) / 2
        torch.testing.assert_close(value, expected.to(torch.bfloat16), rtol=2**-7, atol=1e-6)
