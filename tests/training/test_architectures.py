"""What can be trained of each architecture, and what comes of it."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest
import torch

import lora_convert as lc
from lora_convert_train.adapters import add_adapter, targeted
from lora_convert_train.cache import Cache
from lora_convert_train.dataset import read_dataset
from lora_convert_train.exporting import PEFT
from lora_convert_train.hardware import hardware_for
from lora_convert_train.preparing import work_for
from lora_convert_train.settings import Settings
from lora_convert_train.training import train
from tests.oracles.tiny_pipelines import PIPELINES, picture
from tests.training.recipes import (
    CAPTIONS,
    FLOWS,
    Folder,
    batch_of,
    encoded,
    loaded,
    recipe_of,
    told,
)

PARTS = {"attn": r"\.(attn\d?|attention)\.", "ff": r"\.(ff|ff_context|\w+_mlp|feed_forward)\."}
"""What layers of attention and of feed-forward are called in."""


@pytest.mark.parametrize("architecture", PIPELINES)
def test_presets_are_all_layers_of_attention_and_of_feed_forward(
    architecture: str, base: Folder
) -> None:
    recipe = recipe_of(base(architecture))
    denoiser = recipe.base.load(recipe.denoiser)
    layers = [name for name, one in denoiser.named_modules() if isinstance(one, torch.nn.Linear)]
    of = {part: {n for n in layers if re.search(like, n)} for part, like in PARTS.items()}
    assert {*targeted(denoiser, "attn", recipe.presets)} == of["attn"]
    assert {*targeted(denoiser, "attn+ff", recipe.presets)} == of["attn"] | of["ff"]
    assert of["ff"] - of["attn"]
    assert {*targeted(denoiser, "all-linear", recipe.presets)} == {*layers}
    for names in recipe.presets:
        for name in names:
            assert targeted(denoiser, name, recipe.presets), name


UNREAD = {
    "sd3": ("transformer_blocks.2.attn.add_q_proj",),
    "qwen_image": tuple(
        f"transformer_blocks.1.{name}"
        for name in ("attn.add_q_proj", "attn.to_add_out", "txt_mlp.net.0.proj", "txt_mlp.net.2")
    ),
}
"""Layers behind which no image comes: what the last block makes of the text."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", PIPELINES)
def test_every_adapter_gets_a_gradient_of_a_loss_in_float32(
    architecture: str, dtype: torch.dtype, base: Folder
) -> None:
    recipe = recipe_of(base(architecture), lora_rank=2)
    text, latents = told(recipe, CAPTIONS), encoded(recipe)[2]
    denoiser = recipe.base.load(recipe.denoiser, dtype)
    names = targeted(denoiser, "attn+ff", recipe.presets)
    add_adapter(denoiser, recipe.settings, names)
    batch = batch_of(latents, text)._replace(dtype=dtype)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        losses = recipe.losses(denoiser, batch)
    assert (losses.dtype, losses.shape) == (torch.float32, (2,))
    assert losses.isfinite().all()
    losses.mean().backward()
    gradients = {
        name.split(".lora_")[0]: one.grad
        for name, one in denoiser.named_parameters()
        if "lora_B" in name
    }
    assert gradients.keys() == {*names}
    assert {one.dtype for one in gradients.values() if one is not None} == {torch.float32}
    still = {name for name, one in gradients.items() if one is None or not one.any()}
    assert still == {*UNREAD.get(architecture, ())}


@pytest.mark.parametrize("architecture", PIPELINES)
def test_what_is_trained_converts_and_loads_into_the_pipeline(
    architecture: str, base: Folder, tmp_path: Path
) -> None:
    recipe = recipe_of(base(architecture), lora_alpha=8.0, lora_rank=4)
    denoiser = recipe.base.load(recipe.denoiser)
    names = targeted(denoiser, "attn", recipe.presets)
    torch.manual_seed(0)
    for one in add_adapter(denoiser, recipe.settings, names):
        torch.nn.init.normal_(one, std=0.1)
    output = tmp_path / "pytorch_lora_weights.safetensors"
    lc.save_checkpoint(denoiser, tmp_path / "checkpoint")
    lc.convert(tmp_path / "checkpoint", "diffusers", output=output)

    pipeline = loaded(base(architecture))
    pipeline.load_lora_weights(output)
    batch = batch_of(encoded(recipe)[2], told(recipe, CAPTIONS))
    level = torch.full((2,), 0.5) if architecture in FLOWS else torch.full((2,), 500)
    with torch.no_grad():
        ours, theirs, without = (
            recipe.predict(one, batch.latents, level, batch)
            for one in (
                denoiser,
                getattr(pipeline, recipe.denoiser),
                recipe.base.load(recipe.denoiser),
            )
        )
    torch.testing.assert_close(ours, theirs)
    assert (ours - without).abs().max() > 1e-3


@pytest.mark.parametrize("architecture", ["sd2", "sd3", "flux2", "qwen_image", "z_image"])
def test_twenty_steps_end_as_files_that_the_pipeline_loads(
    architecture: str, base: Folder, photos: Path, tmp_path: Path
) -> None:
    """Names of two layers fit many architectures: the run says which it is."""
    outcome = train(
        Settings(
            pretrained_model_name_or_path=str(base(architecture)),
            train_data_dir=str(photos),
            output_dir=str(tmp_path / "run"),
            resolution=32,
            bucket_step=8,
            train_batch_size=2,
            max_train_steps=20,
            learning_rate=1e-2,
            mixed_precision="no",
            device="cpu",
            lora_rank=4,
        )
    )
    exported = Path(outcome.exported)
    assert outcome.step == 20
    files = ["pytorch_lora_weights.safetensors", "run.safetensors"]
    for name in files:
        both = (exported / PEFT[0], exported / name)
        assert lc.verify(*both, architecture=architecture).equal, name
    drawn = [picture(loaded(base(architecture)), architecture)]
    for name in files[:1] if architecture == "sd3" else files:  # Diffusers reads no kohya's SD3
        pipeline = loaded(base(architecture))
        pipeline.load_lora_weights(exported / name)
        drawn.append(picture(pipeline, architecture))
    torch.testing.assert_close(drawn[1], drawn[-1], rtol=0, atol=1e-4)
    assert (drawn[0] - drawn[1]).abs().max() > 1e-3


def test_recipes_share_no_cache_of_the_same_files(base: Folder, photos: Path) -> None:
    """FLUX.1 and Z-Image have one VAE, and make other things of it."""
    recipes = [recipe_of(base(one), resolution=32) for one in ("flux", "z_image")]
    vaes = [recipe.base.files("vae") for recipe in recipes]
    assert [Path(one).read_bytes() for one in vaes[0]] == [
        Path(one).read_bytes() for one in vaes[1]
    ]
    hardware = hardware_for(Settings(device="cpu", mixed_precision="no"))
    works = [work_for(recipe, read_dataset(photos), hardware) for recipe in recipes]
    flux, z_image = ({*chain(*work.run(Cache()).images)} for work in works)
    assert len(flux) == len(z_image)
    assert not flux & z_image
