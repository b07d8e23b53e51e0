"""Recipes, against what each architecture's own pipeline gives its denoiser and takes from it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    StableDiffusion3Pipeline,
)

from lora_convert.architectures import ARCHITECTURES
from lora_convert_train.recipes import RECIPES
from lora_convert_train.recipes._flow import Flow
from tests.oracles.tiny_pipelines import PIPELINES
from tests.training.recipes import (
    CAPTIONS,
    FLOWS,
    FRAME,
    GUIDANCE,
    HEIGHT,
    WIDTH,
    Folder,
    batch_of,
    encoded,
    loaded,
    noisy_latents,
    recipe_of,
    told,
    with_config,
)

PLAIN = {"guidance_scale": 1.0}
ASKED: dict[str, dict[str, Any]] = {
    "sdxl": {
        **PLAIN,
        "original_size": FRAME.original[::-1],
        "crops_coords_top_left": (FRAME.top, FRAME.left),
        "target_size": FRAME.size[::-1],
    },
    "flux": {"guidance_scale": GUIDANCE},
    "qwen_image": {"true_cfg_scale": 1.0},
    "z_image": {"guidance_scale": 0.0},
}
"""How each pipeline is told to ask its denoiser once a step, and what of an image."""


def packed_by(pipeline: Any, architecture: str, latents: torch.Tensor) -> torch.Tensor:
    """Latents of a recipe as a pipeline takes them, by its own means."""
    if architecture in {"flux", "qwen_image"}:
        return pipeline._pack_latents(latents, *latents.shape)
    return latents


@contextmanager
def recorded(model: Any, name: str = "forward") -> Iterator[list[Any]]:
    """What a method is called with, by the names of its arguments, and what it answers."""
    calls: list[Any] = []
    method = getattr(model, name)
    signature = inspect.signature(method)

    def watched(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        answer = method(*args, **kwargs)
        calls.append((dict(bound.arguments), answer))
        return answer

    setattr(model, name, watched)
    try:
        yield calls
    finally:
        delattr(model, name)


def same(one: Any, other: Any) -> bool:
    """Bit for bit; a number stands for a tensor full of it, and nothing for an empty choice."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if other.ndim == 0:
            other = other.expand_as(one)
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or not (one or other)


def test_every_recipe_is_held_against_its_pipeline(base: Folder) -> None:
    recipes = {name: recipe_of(base(name)) for name in PIPELINES}
    assert {type(recipe) for recipe in recipes.values()} == {*RECIPES}
    assert {name: recipe.architecture for name, recipe in recipes.items()} == {
        name: name for name in PIPELINES
    }
    assert {*PIPELINES} <= {*ARCHITECTURES}
    assert {name for name in recipes if isinstance(recipes[name], Flow)} == {*FLOWS}


@pytest.mark.parametrize(
    "captions", [CAPTIONS, ["ab", "cd"], ["ab " * 300, "ba"]], ids=["ragged", "alike", "cut"]
)
@pytest.mark.parametrize("architecture", PIPELINES)
def test_the_denoiser_is_asked_as_the_pipeline_asks_it(
    architecture: str, captions: list[str], base: Folder
) -> None:
    recipe, pipeline = recipe_of(base(architecture)), loaded(base(architecture))
    denoiser, noisy = getattr(pipeline, recipe.denoiser), noisy_latents(recipe)
    flow = architecture in FLOWS
    with recorded(denoiser) as asked, recorded(pipeline.scheduler, "step") as stepped:
        pipeline(
            prompt=list(captions),
            height=HEIGHT,
            width=WIDTH,
            latents=packed_by(pipeline, architecture, noisy),
            output_type="latent",
            num_inference_steps=1,
            **({"sigmas": [0.75]} if flow else {}),
            **ASKED.get(architecture, PLAIN),
        )
    (theirs, _), (step, _) = asked[0], stepped[0]
    batch = batch_of(torch.zeros_like(noisy), told(recipe, captions))
    level = torch.tensor([0.75, 0.75]) if flow else step["timestep"].expand(2)
    with torch.no_grad(), recorded(denoiser) as asked:
        predicted = recipe.predict(denoiser, noisy, level, batch)
    ours = asked[0][0]
    assert {name for name in theirs if not same(ours[name], theirs[name])} == set()
    if architecture == "flux2":
        packed = pipeline._pack_latents(predicted)
    else:
        packed = packed_by(pipeline, architecture, predicted)
    assert same(packed, step["model_output"])
    assert predicted.shape == noisy.shape


@pytest.mark.parametrize("noise", [0.0, 1.0], ids=["mean", "drawn"])
@pytest.mark.parametrize("architecture", PIPELINES)
def test_the_pipeline_decodes_what_the_vae_encoded(
    architecture: str, noise: float, base: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, pipeline = recipe_of(base(architecture)), loaded(base(architecture))
    pixels, drawn, latents = encoded(recipe, noise)
    monkeypatch.setattr(pipeline.scheduler, "step", lambda out, t, sample, **_: (sample,))
    with recorded(pipeline.vae, "decode") as decoded:
        pipeline(
            prompt=CAPTIONS,
            height=HEIGHT,
            width=WIDTH,
            latents=packed_by(pipeline, architecture, latents),
            output_type="pt",
            num_inference_steps=1,
            **ASKED.get(architecture, PLAIN),
        )
    with torch.no_grad():
        video = (slice(None), slice(None), None) if architecture == "qwen_image" else ...
        posterior = pipeline.vae.encode(pixels[video]).latent_dist
    expected = posterior.mean
    if architecture not in {"flux2", "z_image"}:  # their own scripts train on the mean
        expected = expected + posterior.std * drawn.view_as(expected)
    torch.testing.assert_close(decoded[0][0]["z"], expected, rtol=1e-4, atol=1e-5)


def test_a_vae_whose_configuration_is_older_than_the_scale_has_that_of_then(
    base: Folder, tmp_path: Path
) -> None:
    recipe = recipe_of(base("sd1"))
    older = recipe_of(with_config(base("sd1"), tmp_path, "vae", "scaling_factor", "shift_factor"))
    latents = torch.randn(1, 4, 4, 4)
    assert torch.equal(older.scaled(latents), recipe.scaled(latents))


def test_sd3_without_t5_is_told_what_its_pipeline_tells_it(base: Folder, tmp_path: Path) -> None:
    pipeline = StableDiffusion3Pipeline.from_pretrained(
        base("sd3"), text_encoder_3=None, tokenizer_3=None
    )
    pipeline.save_pretrained(tmp_path)
    found = told(recipe_of(tmp_path), CAPTIONS)
    context, _, pooled, _ = pipeline.encode_prompt(
        CAPTIONS, None, None, do_classifier_free_guidance=False
    )
    assert torch.equal(found["context"], context)
    assert torch.equal(found["pooled"], pooled)


@pytest.mark.parametrize("architecture", ["qwen_image", "z_image"])
def test_captions_are_kept_without_what_fills_them_up(architecture: str, base: Folder) -> None:
    recipe = recipe_of(base(architecture))
    recipe.load_encoders(*recipe.text_parts, device=torch.device("cpu"), dtype=torch.float32)
    with torch.no_grad():
        long, short = recipe.encode_texts(CAPTIONS)
    assert len(long["context"]) - len(short["context"]) == len(CAPTIONS[0]) - len(CAPTIONS[1])
    both = recipe.stacked([short, long])
    assert both["mask"].sum(1).tolist() == [len(short["context"]), len(long["context"])]
    assert not both["context"][0][len(short["context"]) :].any()
    assert "mask" not in recipe.stacked([short, short])
