"""FLUX.2 klein."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert_train.recipes._declaration import Batch, Presets
from lora_convert_train.recipes._flow import Flow
from lora_convert_train.recipes._texts import chats, tokens

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

_LONGEST = 512
"""Tokens of Qwen3."""

_LAYERS = (9, 18, 27)
"""Of Qwen3, whose hidden states are read."""

_STEPS = 50
"""Of a sampling, on whose number the shift depends: those of the pipeline."""


class Flux2Klein(Flow):
    """Three layers of Qwen3 side by side; latents of 2 × 2 as channels.

    What captions are filled up with is told too: the model has learned to read it.
    """

    architecture = "flux2"
    pipelines = ("Flux2KleinPipeline",)
    text_parts = ("tokenizer", "text_encoder")
    presets = Presets(
        (
            *("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.to_add_out"),
            *("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
            # single blocks: attention and feed-forward are one layer there
            *("attn.to_qkv_mlp_proj", "attn.to_out"),
        ),
        ("ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out"),
    )

    def encode_images(self, pixels: torch.Tensor) -> Tensors:
        """Latents as the denoiser takes them: their scale is in the VAE's weights."""
        vae = self.parts["vae"]
        latents = _tiled(vae.encode(pixels).latent_dist.mode())
        mean, variance = (
            one.view(1, -1, 1, 1) for one in (vae.bn.running_mean, vae.bn.running_var)
        )
        return {"mean": (latents - mean) / (variance + vae.config.batch_norm_eps).sqrt()}

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """As they are."""
        return latents

    def encode_texts(self, captions: list[str]) -> list[Tensors]:
        """``context``: (tokens, three widths)."""
        import torch

        tokenizer, encoder = self.parts["tokenizer"], self.parts["text_encoder"]
        asked = tokens(tokenizer, chats(tokenizer, captions, thinking=False), _LONGEST)
        asked = asked.to(encoder.device)
        states = encoder(
            input_ids=asked.input_ids,
            attention_mask=asked.attention_mask,
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        contexts = torch.cat([states[layer] for layer in _LAYERS], dim=-1)
        return [{"context": one} for one in contexts]

    def tokens(self, latents: torch.Tensor) -> int:
        """Each place is one."""
        return int(latents.shape[-1] * latents.shape[-2])

    def stretch(self, tokens: int) -> float:
        """As its authors measured it, for any number of steps (Diffusers 0.42, ``compute_empirical_mu``)."""
        many = 0.00016927 * tokens + 0.45666666
        few = 8.73809524e-05 * tokens + 1.89833333
        if tokens > 4300:
            return many
        return many + (many - few) * (_STEPS - 200) / 190

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, sigmas: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """The flow."""
        context = batch.text["context"].to(batch.dtype)
        height, width = noisy.shape[-2:]
        found = denoiser(
            hidden_states=noisy.flatten(2).transpose(1, 2),
            timestep=sigmas,
            encoder_hidden_states=context,
            txt_ids=_places(batch, 1, 1, context.shape[1]),
            img_ids=_places(batch, height, width, 1),
            return_dict=False,
        )[0]
        predicted: torch.Tensor = found.transpose(1, 2).unflatten(2, (height, width))
        return predicted


def _tiled(latents: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) as (B, 4 C, H/2, W/2): each 2 × 2 as channels."""
    import torch

    return torch.nn.functional.pixel_unshuffle(latents, 2)


def _places(batch: Batch, height: int, width: int, length: int) -> torch.Tensor:
    """(B, tokens, 4): time, row, column, and number in the text."""
    import torch

    sides = [torch.arange(side, device=batch.latents.device) for side in (1, height, width, length)]
    return torch.cartesian_prod(*sides).expand(batch.size, -1, -1)
