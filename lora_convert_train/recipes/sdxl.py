"""Stable Diffusion XL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert_train.recipes._declaration import Batch, Presets
from lora_convert_train.recipes._diffusion import Diffusion
from lora_convert_train.recipes._texts import tokens
from lora_convert_train.recipes.stable_diffusion import ATTENTION

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]


class StableDiffusionXL(Diffusion):
    """Two CLIP text encoders by their last layer but one, and images' sizes (Podell et al. 2023)."""

    architecture = "sdxl"
    pipelines = ("StableDiffusionXLPipeline",)
    text_parts = ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2")
    presets = Presets(ATTENTION, ("ff.net.0.proj", "ff.net.2"))
    trains_text = True

    def encode_texts(self, captions: list[str]) -> list[Tensors]:
        """``context``: (tokens, both widths); ``pooled``: that of the second encoder."""
        import torch

        states, pooled = [], []
        for number in ("", "_2"):
            encoder = self.parts[f"text_encoder{number}"]
            ids = tokens(self.parts[f"tokenizer{number}"], captions).input_ids
            found = encoder(ids.to(encoder.device), output_hidden_states=True)
            states.append(found.hidden_states[-2])
            pooled = found[0]
        context = torch.cat(states, dim=-1)
        return [{"context": c, "pooled": p} for c, p in zip(context, pooled, strict=True)]

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, levels: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """Noise or velocity."""
        added = {"text_embeds": batch.text["pooled"].to(batch.dtype), "time_ids": _sizes(batch)}
        context = batch.text["context"].to(batch.dtype)
        predicted: torch.Tensor = denoiser(
            noisy, levels, context, added_cond_kwargs=added, return_dict=False
        )[0]
        return predicted


def _sizes(batch: Batch) -> torch.Tensor:
    """Original height and width, top and left of the cut, height and width trained at."""
    import torch

    rows = [
        (*frame.original[::-1], frame.top, frame.left, *frame.size[::-1]) for frame in batch.frames
    ]
    return torch.tensor(rows, dtype=batch.dtype, device=batch.latents.device)
