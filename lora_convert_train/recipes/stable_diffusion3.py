"""Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert_train.recipes._declaration import Batch, Presets
from lora_convert_train.recipes._flow import Flow
from lora_convert_train.recipes._texts import tokens

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

_LONGEST = 256
"""Tokens of T5, as the pipeline gives them."""


class StableDiffusion3(Flow):
    """Two CLIP text encoders by their last layer but one, then T5 in a row with them (Esser et al. 2024)."""

    architecture = "sd3"
    pipelines = ("StableDiffusion3Pipeline",)
    text_parts = (
        *("tokenizer", "text_encoder", "tokenizer_2", "text_encoder_2"),
        *("tokenizer_3", "text_encoder_3"),
    )
    presets = Presets(
        (
            *("to_q", "to_k", "to_v", "to_out.0", "to_add_out"),
            *("add_q_proj", "add_k_proj", "add_v_proj"),
        ),
        ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
    )
    levels = "logit_normal"

    def encode_texts(self, captions: list[str]) -> list[Tensors]:
        """``context``: (tokens of CLIP and of T5, width of T5); ``pooled``: that of both CLIPs."""
        import torch

        states, pooled = [], []
        for number in ("", "_2"):
            encoder = self.parts[f"text_encoder{number}"]
            ids = tokens(self.parts[f"tokenizer{number}"], captions).input_ids
            found = encoder(ids.to(encoder.device), output_hidden_states=True)
            states.append(found.hidden_states[-2])
            pooled.append(found[0])
        clip = torch.cat(states, dim=-1)
        t5 = self._t5(captions, clip)
        clip = torch.nn.functional.pad(clip, (0, t5.shape[-1] - clip.shape[-1]))
        contexts = torch.cat([clip, t5], dim=-2)
        both = torch.cat(pooled, dim=-1)
        return [{"context": c, "pooled": p} for c, p in zip(contexts, both, strict=True)]

    def _t5(self, captions: list[str], like: torch.Tensor) -> torch.Tensor:
        """T5's last hidden states; zeros where the pipeline was saved without it, which saves memory."""
        if "text_encoder_3" not in self.parts:
            width = self.base.config("transformer")["joint_attention_dim"]
            return like.new_zeros(len(captions), _LONGEST, width)
        encoder = self.parts["text_encoder_3"]
        ids = tokens(self.parts["tokenizer_3"], captions, _LONGEST).input_ids
        found: torch.Tensor = encoder(ids.to(encoder.device))[0]
        return found

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, sigmas: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """The flow."""
        predicted: torch.Tensor = denoiser(
            hidden_states=noisy,
            timestep=1000 * sigmas,
            encoder_hidden_states=batch.text["context"].to(batch.dtype),
            pooled_projections=batch.text["pooled"].to(batch.dtype),
            return_dict=False,
        )[0]
        return predicted
