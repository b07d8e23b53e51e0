"""Models that predict the way from image to noise, at any noise level between 0 and 1 (rectified flow)."""

from __future__ import annotations

from abc import abstractmethod
from math import exp, pi
from typing import TYPE_CHECKING, Any, ClassVar

from lora_convert_train.recipes._declaration import Batch, Recipe

if TYPE_CHECKING:
    import torch

_MODE = 1.29
"""Scale of the mode density (Esser et al. 2024, appendix)."""

_LEAST = 1e-5
"""No image is trained without any noise."""


class Flow(Recipe):
    """Esser et al. 2024: x = (1 − σ) image + σ noise; the target is noise − image."""

    levels: ClassVar[str] = "uniform"
    """Which noise levels the model's own training script draws."""

    @property
    def multiple(self) -> int:
        """Tokens are 2 × 2 latents."""
        return 2 * self.vae_scale

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """Shifted, then scaled."""
        return super().scaled(latents - (self.base.config("vae").get("shift_factor") or 0))

    def losses(self, denoiser: Any, batch: Batch) -> torch.Tensor:
        """Mean squared error of the flow."""
        noise = batch.normal(*batch.latents.shape)
        sigmas = self._sigmas(batch)
        broad = sigmas.view(-1, *(1,) * (batch.latents.ndim - 1))
        noisy = (1 - broad) * batch.latents + broad * noise
        predicted = self.predict(denoiser, noisy.to(batch.dtype), sigmas, batch)
        return (predicted.float() - (noise - batch.latents)).square().flatten(1).mean(1)

    def _sigmas(self, batch: Batch) -> torch.Tensor:
        """Noise levels in float32: in half precision neighbours would fall together."""
        import torch

        kind = self.settings.noise_levels
        kind = self.levels if kind == "auto" else kind
        if kind == "logit_normal":
            clear = torch.sigmoid(batch.normal(batch.size))
        else:
            clear = batch.uniform(batch.size)
        if kind == "mode":
            clear = 1 - clear - _MODE * (torch.cos(pi / 2 * clear).square() - 1 + clear)
        drawn = (1 - clear).clamp(_LEAST, 1)
        shift = self.shift(self.tokens(batch.latents))
        return shift * drawn / (1 + (shift - 1) * drawn)

    def shift(self, tokens: int) -> float:
        """How far noise levels are shifted towards noise: as the base samples, or as it is set."""
        asked = self.settings.shift
        if asked == "none":
            return 1.0
        if asked != "auto":
            return float(asked)
        config = self.base.config("scheduler")
        if config.get("use_dynamic_shifting"):
            return exp(self.stretch(tokens))
        return float(config.get("shift", 1.0))

    def stretch(self, tokens: int) -> float:
        """The logarithm of a shift that depends on the image's size: a line, as the scheduler has it.

        What its configuration leaves out is FLUX.1's (Diffusers 0.42, ``calculate_shift`` of the pipelines).
        """
        config = self.base.config("scheduler")
        first, last = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        return float(low + (high - low) * (tokens - first) / (last - first))

    def tokens(self, latents: torch.Tensor) -> int:
        """How many tokens the denoiser makes of latents."""
        return int(latents.shape[-1] * latents.shape[-2]) // 4

    @abstractmethod
    def predict(
        self, denoiser: Any, noisy: torch.Tensor, sigmas: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """What the denoiser makes of noisy latents, as the flow from image to noise."""


def packed(latents: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) as tokens of 2 × 2: (B, H/2 · W/2, 4 C)."""
    count, channels, height, width = latents.shape
    tiles = latents.view(count, channels, height // 2, 2, width // 2, 2)
    return tiles.permute(0, 2, 4, 1, 3, 5).reshape(count, height * width // 4, channels * 4)


def unpacked(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The inverse of `packed`, in the shape of `like`."""
    count, channels, height, width = like.shape
    tiles = tokens.view(count, height // 2, width // 2, channels, 2, 2)
    return tiles.permute(0, 3, 1, 4, 2, 5).reshape(count, channels, height, width)
