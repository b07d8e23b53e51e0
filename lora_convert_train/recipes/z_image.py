"""Z-Image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert_train.recipes._declaration import Batch, Presets
from lora_convert_train.recipes._flow import Flow
from lora_convert_train.recipes._texts import chats, filled_up, tokens

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

_LONGEST = 512
"""Tokens of Qwen3."""


class ZImage(Flow):
    """Qwen3's last layer but one, of a caption's tokens alone. Noise levels and flow are reversed."""

    architecture = "z_image"
    pipelines = ("ZImagePipeline",)
    text_parts = ("tokenizer", "text_encoder")
    presets = Presets(
        ("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0"),
        ("feed_forward.w1", "feed_forward.w2", "feed_forward.w3"),
    )

    def encode_images(self, pixels: torch.Tensor) -> Tensors:
        """The posterior's mean: what the model's own script trains on."""
        return {"mean": self.parts["vae"].encode(pixels).latent_dist.mode()}

    def encode_texts(self, captions: list[str]) -> list[Tensors]:
        """``context``: (tokens of the caption in its chat, width)."""
        tokenizer, encoder = self.parts["tokenizer"], self.parts["text_encoder"]
        asked = tokens(tokenizer, chats(tokenizer, captions, thinking=True), _LONGEST)
        asked = asked.to(encoder.device)
        states = encoder(
            input_ids=asked.input_ids,
            attention_mask=asked.attention_mask,
            output_hidden_states=True,
        ).hidden_states[-2]
        held = zip(states, asked.attention_mask.bool(), strict=True)
        return [{"context": one[there]} for one, there in held]

    def stacked(self, texts: list[Tensors]) -> Tensors:
        """``context``, and a ``mask`` where captions differ in length."""
        return filled_up(texts)

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, sigmas: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """The flow; the model takes a list of images, each of one frame, and a list of captions."""
        import torch

        contexts, mask = batch.text["context"].to(batch.dtype), batch.text.get("mask")
        held = [...] * batch.size if mask is None else mask.bool()
        found = denoiser(
            list(noisy[:, :, None]),
            1 - sigmas,
            [context[there] for context, there in zip(contexts, held, strict=True)],
            return_dict=False,
        )[0]
        return -torch.stack(found)[:, :, 0]
