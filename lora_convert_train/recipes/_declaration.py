"""What a recipe is: all that the loop has to know of an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    import torch

    from lora_convert_train.base import Base
    from lora_convert_train.buckets import Frame
    from lora_convert_train.settings import Settings

    Tensors = dict[str, torch.Tensor]

_SCALING = 0.18215
"""Of a VAE whose configuration is older than the entry (Diffusers 0.10)."""


class Batch(NamedTuple):
    """What a step is made of, on the device that trains."""

    latents: torch.Tensor
    """float32: the VAE's, scaled as the denoiser takes them."""
    text: Tensors
    """What the denoiser is told of the captions, stacked."""
    frames: tuple[Frame, ...]
    generator: torch.Generator
    """Draws on the CPU."""
    dtype: torch.dtype
    """Of what the denoiser is given."""

    @property
    def size(self) -> int:
        """Images in it."""
        return int(self.latents.shape[0])

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers, float32, on the latents' device."""
        import torch

        return torch.randn(shape, generator=self.generator).to(self.latents.device)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Numbers between 0 and 1, float32, on the latents' device."""
        import torch

        return torch.rand(shape, generator=self.generator).to(self.latents.device)


class Presets(NamedTuple):
    """Names of modules, by what users call them."""

    attention: tuple[str, ...]
    feed_forward: tuple[str, ...]


class Recipe(ABC):
    """How an architecture is trained: its encoders, its latents and its loss."""

    architecture: str
    """The converter's name for it."""
    pipelines: ClassVar[tuple[str, ...]]
    """Classes of pipelines it trains."""
    denoiser: ClassVar[str] = "transformer"
    """The component that gets a LoRA."""
    text_parts: ClassVar[tuple[str, ...]]
    """Components that captions pass through: text encoders and tokenizers."""
    presets: ClassVar[Presets]
    trains_text: ClassVar[bool] = False
    """Whether text encoders can be trained too."""

    def __init__(self, base: Base, settings: Settings) -> None:
        self.base = base
        self.settings = settings
        self.parts: dict[str, Any] = {}
        """Loaded parts of the pipeline that encode, by name."""

    def load_encoders(self, *names: str, device: torch.device, dtype: torch.dtype) -> None:
        """Load parts: the VAE in float32, whose halves overflow, and what reads captions in `dtype`."""
        import torch

        for name in names:
            if self.base.index[name][0] is None:
                continue  # the pipeline was saved without it
            if "tokenizer" in name or "processor" in name:
                self.parts[name] = self.base.load(name)
            else:
                kind = torch.float32 if name == "vae" else dtype
                self.parts[name] = self.base.load(name, kind).to(device)

    def free_encoders(self) -> None:
        """Let go of what encodes: the denoiser needs the memory."""
        self.parts.clear()

    @property
    def multiple(self) -> int:
        """What sides of images must be multiples of, in pixels."""
        return self.vae_scale

    @property
    def vae_scale(self) -> int:
        """Pixels of a latent's side."""
        levels = len(self.base.config("vae")["block_out_channels"])
        return 1 << (levels - 1)

    @property
    def image_parts(self) -> tuple[str, ...]:
        """Components that images pass through."""
        return ("vae",)

    def encode_images(self, pixels: torch.Tensor) -> Tensors:
        """What is cached of images, (B, 3, H, W) between -1 and 1: the VAE's posterior."""
        posterior = self.parts["vae"].encode(pixels).latent_dist
        return {"mean": posterior.mean, "std": posterior.std}

    def latents(self, encoded: Tensors, noise: torch.Tensor) -> torch.Tensor:
        """Latents as the denoiser takes them: a draw from the posterior, or its mean alone, scaled."""
        drawn = encoded["mean"]
        if "std" in encoded:
            drawn = drawn + encoded["std"] * noise
        return self.scaled(drawn)

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """The VAE's latents at the scale that the denoiser takes them at."""
        factor: float = self.base.config("vae").get("scaling_factor", _SCALING)
        return latents * factor

    @abstractmethod
    def encode_texts(self, captions: list[str]) -> list[Tensors]:
        """What the denoiser is told of each caption, without a batch's axis."""

    def stacked(self, texts: list[Tensors]) -> Tensors:
        """What it is told of a batch."""
        import torch

        return {name: torch.stack([text[name] for text in texts]) for name in texts[0]}

    @abstractmethod
    def losses(self, denoiser: Any, batch: Batch) -> torch.Tensor:
        """The loss of each image of a batch, float32 (B,)."""
