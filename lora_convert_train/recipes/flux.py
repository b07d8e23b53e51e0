"""FLUX.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert_train.recipes._declaration import Batch, Presets
from lora_convert_train.recipes._flow import Flow, packed, unpacked
from lora_convert_train.recipes._texts import tokens

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

_LONGEST = 512
"""Tokens of T5."""


class Flux(Flow):
    """T5's last hidden state, CLIP's pooled one; latents in tokens of 2 × 2, told where each is."""

    architecture = "flux"
    pipelines = ("FluxPipeline",)
    text_parts = ("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2")
    presets = Presets(
        (
            *("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.to_add_out"),
            *("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
        ),
        ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
    )

    def encode_texts(self, captions: list[str]) -> list[Tensors]:
        """``context``: (tokens, width) of T5; ``pooled`` of CLIP."""
        clip, t5 = self.parts["text_encoder"], self.parts["text_encoder_2"]
        ids = tokens(self.parts["tokenizer"], captions).input_ids
        pooled = clip(ids.to(clip.device)).pooler_output
        ids = tokens(self.parts["tokenizer_2"], captions, _LONGEST).input_ids
        context = t5(ids.to(t5.device))[0]
        return [{"context": c, "pooled": p} for c, p in zip(context, pooled, strict=True)]

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, sigmas: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """The flow; a distilled model is told the guidance."""
        import torch

        device, dtype = noisy.device, batch.dtype
        context = batch.text["context"].to(dtype)
        guided = self.base.config("transformer").get("guidance_embeds")
        guidance = torch.full((batch.size,), self.settings.guidance_scale, device=device)
        found = denoiser(
            hidden_states=packed(noisy),
            timestep=sigmas,
            guidance=guidance if guided else None,
            pooled_projections=batch.text["pooled"].to(dtype),
            encoder_hidden_states=context,
            txt_ids=torch.zeros(context.shape[1], 3, device=device, dtype=dtype),
            img_ids=_places(*noisy.shape[-2:], device=device, dtype=dtype),
            return_dict=False,
        )[0]
        return unpacked(found, noisy)


def _places(height: int, width: int, *, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Row and column of each token, after a zero."""
    import torch

    places = torch.zeros(height // 2, width // 2, 3, device=device, dtype=dtype)
    places[..., 1] = torch.arange(height // 2, device=device)[:, None]
    places[..., 2] = torch.arange(width // 2, device=device)[None, :]
    return places.reshape(-1, 3)
