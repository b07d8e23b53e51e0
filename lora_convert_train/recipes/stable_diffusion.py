"""Stable Diffusion 1 and 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert_train.recipes._declaration import Batch, Presets
from lora_convert_train.recipes._diffusion import Diffusion
from lora_convert_train.recipes._texts import tokens

if TYPE_CHECKING:
    import torch

    from lora_convert_train.base import Base
    from lora_convert_train.settings import Settings

    Tensors = dict[str, torch.Tensor]

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_OPENCLIP = 1024
"""Width of the second one's text encoder."""


class StableDiffusion(Diffusion):
    """Last hidden state of one CLIP text encoder; the scheduler's configuration says what is predicted."""

    architecture = "sd1"
    pipelines = ("StableDiffusionPipeline",)
    text_parts = ("tokenizer", "text_encoder")
    presets = Presets(ATTENTION, ("ff.net.0.proj", "ff.net.2"))
    trains_text = True

    def __init__(self, base: Base, settings: Settings) -> None:
        super().__init__(base, settings)
        if base.config("unet")["cross_attention_dim"] == _OPENCLIP:
            self.architecture = "sd2"

    def encode_texts(self, captions: list[str]) -> list[Tensors]:
        """``context``: (tokens, width)."""
        encoder = self.parts["text_encoder"]
        ids = tokens(self.parts["tokenizer"], captions).input_ids
        return [{"context": one} for one in encoder(ids.to(encoder.device))[0]]

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, levels: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """Noise or velocity."""
        context = batch.text["context"].to(batch.dtype)
        predicted: torch.Tensor = denoiser(noisy, levels, context, return_dict=False)[0]
        return predicted
