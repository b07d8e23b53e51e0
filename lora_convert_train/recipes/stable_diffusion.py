"""Stable Diffusion 1 and 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert_train.recipes._declaration import Batch, Presets
from lora_convert_train.recipes._diffusion import Diffusion

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


class StableDiffusion(Diffusion):
    """Last hidden state of one CLIP text encoder; the scheduler's configuration says what is predicted."""

    architecture = "sd1"
    pipelines = ("StableDiffusionPipeline",)
    text_parts = ("tokenizer", "text_encoder")
    presets = Presets(ATTENTION, ("ff.net.0.proj", "ff.net.2"))
    trains_text = True

    def encode_texts(self, captions: list[str]) -> list[Tensors]:
        """``context``: (tokens, width)."""
        encoder = self.parts["text_encoder"]
        ids = token_ids(self.parts["tokenizer"], captions).to(encoder.device)
        return [{"context": one} for one in encoder(ids)[0]]

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, levels: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """Noise or velocity."""
        context = batch.text["context"].to(batch.dtype)
        predicted: torch.Tensor = denoiser(noisy, levels, context, return_dict=False)[0]
        return predicted


def token_ids(tokenizer: Any, captions: list[str]) -> torch.Tensor:
    """Tokens of captions, filled up and cut to what the encoder reads."""
    ids: torch.Tensor = tokenizer(
        captions,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return ids
