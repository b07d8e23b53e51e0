"""Losses and noise levels, against the schedulers and training functions of Diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.training_utils import (
    compute_density_for_timestep_sampling,
    compute_loss_weighting_for_sd3,
    compute_snr,
)

from lora_convert_train.recipes import Batch
from tests.training.recipes import (
    FLOWS,
    HEIGHT,
    WIDTH,
    Folder,
    batch_of,
    loaded,
    noisy_latents,
    recipe_of,
    with_config,
)


@pytest.mark.parametrize(
    "scheduler",
    [
        {"shift": 3.0},
        {"use_dynamic_shifting": True},
        {"use_dynamic_shifting": True, "max_shift": 0.9, "max_image_seq_len": 8192},
    ],
    ids=["fixed", "by size", "by another line"],
)
@pytest.mark.parametrize("architecture", FLOWS)
def test_noise_levels_are_shifted_as_the_pipeline_shifts_them(
    architecture: str,
    scheduler: dict[str, Any],
    base: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AskedError(Exception):
        """The levels are set."""

    def ask(*args: Any, **kwargs: Any) -> None:
        raise AskedError

    recipe = recipe_of(with_config(base(architecture), tmp_path, "scheduler", **scheduler))
    pipeline = loaded(base(architecture))
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler(**scheduler)
    monkeypatch.setattr(pipeline.transformer, "forward", ask)
    levels = torch.linspace(1, 1 / 50, 50)
    with pytest.raises(AskedError):
        pipeline(
            prompt="a",
            height=HEIGHT,
            width=WIDTH,
            num_inference_steps=50,
            sigmas=levels.tolist(),
        )
    latents = noisy_latents(recipe_of(base(architecture)))
    shift = recipe.shift(recipe.tokens(latents))
    torch.testing.assert_close(
        shift * levels / (1 + (shift - 1) * levels), pipeline.scheduler.sigmas[:-1]
    )


@pytest.mark.parametrize("kind", ["uniform", "logit_normal", "mode"])
@pytest.mark.parametrize("shift", ["none", "3"])
def test_noise_levels_are_drawn_as_diffusers_draws_them(
    kind: str, shift: str, base: Folder
) -> None:
    """Its ``u`` counts from noise to image: its table of levels falls."""
    recipe = recipe_of(base("flux"), noise_levels=kind, shift=shift)
    levels = predicted_levels(recipe, torch.zeros(512, 4, 2, 2))
    generator = torch.Generator().manual_seed(0)
    torch.randn(512, 4, 2, 2, generator=generator)  # the noise
    drawn = compute_density_for_timestep_sampling(
        kind, 512, logit_mean=0.0, logit_std=1.0, mode_scale=1.29, generator=generator
    )
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1 if shift == "none" else float(shift))
    scheduler.set_timesteps(sigmas=(1 - drawn).tolist())
    torch.testing.assert_close(levels, scheduler.sigmas[:-1], rtol=1e-5, atol=5e-5)
    assert levels.dtype == torch.float32
    assert 0 < levels.min() < levels.max() <= 1
    assert compute_loss_weighting_for_sd3(kind, levels).eq(1).all()


def predicted_levels(recipe: Any, latents: torch.Tensor) -> torch.Tensor:
    """Noise levels that a step of `latents` asks the denoiser at."""
    asked = []

    def predict(denoiser: Any, noisy: torch.Tensor, levels: torch.Tensor, batch: Batch) -> Any:
        asked.append(levels)
        return noisy

    recipe.predict = predict
    recipe.losses(None, batch_of(latents, {}))
    return asked[0]


@pytest.mark.parametrize("architecture", FLOWS)
def test_a_flow_that_ends_at_the_image_has_no_loss(architecture: str, base: Folder) -> None:
    recipe, image = recipe_of(base(architecture)), torch.randn(2, 4, 4, 4)
    scheduler = FlowMatchEulerDiscreteScheduler()

    def predict(denoiser: Any, noisy: torch.Tensor, levels: torch.Tensor, batch: Batch) -> Any:
        flow = (noisy - image) / levels.view(-1, 1, 1, 1)
        scheduler.set_timesteps(sigmas=[levels[0].item()])
        ended = scheduler.step(flow[:1], scheduler.timesteps[0], noisy[:1]).prev_sample
        torch.testing.assert_close(ended, image[:1])
        return flow

    recipe.predict = predict
    losses = recipe.losses(None, batch_of(image, {}))
    torch.testing.assert_close(losses, torch.zeros(2))


KINDS = ["epsilon", "v_prediction"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ["sd1", "sd2", "sdxl"])
def test_a_prediction_of_which_the_sampler_makes_the_image_has_no_loss(
    architecture: str, kind: str, base: Folder, tmp_path: Path
) -> None:
    folder = with_config(base(architecture), tmp_path, "scheduler", prediction_type=kind)
    recipe, image = recipe_of(folder), torch.randn(2, 4, 4, 4)
    sampler = DDIMScheduler.from_pretrained(folder / "scheduler")
    sampler.set_timesteps(1000)

    def predict(denoiser: Any, noisy: torch.Tensor, levels: torch.Tensor, batch: Batch) -> Any:
        kept = sampler.alphas_cumprod[levels].view(-1, 1, 1, 1)
        noise = (noisy - kept.sqrt() * image) / (1 - kept).sqrt()
        predicted = noise if kind == "epsilon" else kept.sqrt() * noise - (1 - kept).sqrt() * image
        step = sampler.step(predicted[:1], int(levels[0]), noisy[:1])
        torch.testing.assert_close(step.pred_original_sample, image[:1], rtol=1e-3, atol=1e-3)
        return predicted

    recipe.predict = predict
    losses = recipe.losses(None, batch_of(image, {}))
    torch.testing.assert_close(losses, torch.zeros(2), rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_min_snr_weighs_as_diffusers_does(kind: str, base: Folder, tmp_path: Path) -> None:
    folder = with_config(base("sd1"), tmp_path, "scheduler", prediction_type=kind)
    plain, weighed = recipe_of(folder), recipe_of(folder, min_snr_gamma=5.0)
    batch = torch.randn(64, 4, 4, 4)
    levels = predicted_levels(plain, batch)
    assert torch.equal(levels, predicted_levels(weighed, batch))
    ratio = compute_snr(DDPMScheduler.from_pretrained(folder / "scheduler"), levels)
    weights = ratio.clamp(max=5) / (ratio if kind == "epsilon" else ratio + 1)
    losses = [recipe.losses(None, batch_of(batch, {})) for recipe in (plain, weighed)]
    torch.testing.assert_close(losses[1], losses[0] * weights)
    assert weights.min() < 0.5 < weights.max()


def test_a_noise_offset_shifts_whole_channels(base: Folder) -> None:
    recipe, image = recipe_of(base("sd1"), noise_offset=0.1), torch.zeros(2, 4, 4, 4)
    asked = []

    def predict(denoiser: Any, noisy: torch.Tensor, levels: torch.Tensor, batch: Batch) -> Any:
        asked.append((noisy, levels))
        return torch.zeros_like(noisy)

    recipe.predict = predict
    losses = recipe.losses(None, batch_of(image, {}))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 4, 4, 4, generator=generator)
    noise += 0.1 * torch.randn(2, 4, 1, 1, generator=generator)
    ((noisy, levels),) = asked
    torch.testing.assert_close(noisy, recipe.scheduler.add_noise(image, noise, levels))
    torch.testing.assert_close(losses, noise.square().mean((1, 2, 3)))
