"""Models that predict noise, or velocity, at one of a thousand discrete noise levels (DDPM)."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lora_convert_train.recipes._declaration import Batch, Recipe

if TYPE_CHECKING:
    import torch


class Diffusion(Recipe):
    """Ho et al. 2020; min-SNR by Hang et al. 2023; v-prediction by Salimans and Ho 2022."""

    denoiser = "unet"

    @cached_property
    def scheduler(self) -> Any:
        """The noise levels, as the base has them."""
        from diffusers import DDPMScheduler

        return DDPMScheduler.from_config(  # type: ignore[no-untyped-call]
            self.base.config("scheduler")
        )

    def losses(self, denoiser: Any, batch: Batch) -> torch.Tensor:
        """Mean squared error of noise or velocity, as the base predicts, weighed by min-SNR if asked."""
        import torch

        latents, scheduler = batch.latents, self.scheduler
        noise = batch.normal(*latents.shape)
        if self.settings.noise_offset:
            noise = noise + self.settings.noise_offset * batch.normal(*latents.shape[:2], 1, 1)
        count = scheduler.config.num_train_timesteps
        levels = torch.randint(0, count, (batch.size,), generator=batch.generator)
        levels = levels.to(latents.device)
        noisy = scheduler.add_noise(latents, noise, levels)
        predicted = self.predict(denoiser, noisy.to(batch.dtype), levels, batch)
        velocity = scheduler.config.prediction_type == "v_prediction"
        target = scheduler.get_velocity(latents, noise, levels) if velocity else noise
        losses = (predicted.float() - target).square().flatten(1).mean(1)
        return losses * self._weights(levels, velocity=velocity)

    def _weights(self, levels: torch.Tensor, *, velocity: bool) -> torch.Tensor:
        import torch

        gamma = self.settings.min_snr_gamma
        if not gamma:
            return torch.ones_like(levels, dtype=torch.float32)
        kept = self.scheduler.alphas_cumprod.to(levels.device)[levels]
        ratio = kept / (1 - kept)
        weights: torch.Tensor = ratio.clamp(max=gamma) / (ratio + 1 if velocity else ratio)
        return weights

    @abstractmethod
    def predict(
        self, denoiser: Any, noisy: torch.Tensor, levels: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """What the denoiser makes of noisy latents."""
