"""Qwen-Image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert_train.recipes._declaration import Batch, Presets
from lora_convert_train.recipes._flow import Flow, packed, unpacked
from lora_convert_train.recipes._texts import filled_up, tokens

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

_ASKED = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, "
    "spatial relationships of the objects and background:<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
"""What a caption is put into (Diffusers 0.42, ``QwenImagePipeline``)."""

_BEFORE = 34
"""Tokens of that before the caption; they are left away."""

_LONGEST = 512
"""Tokens of a caption."""


class QwenImage(Flow):
    """Qwen2.5-VL's last hidden states of a caption's tokens alone; a VAE of videos, for one frame."""

    architecture = "qwen_image"
    pipelines = ("QwenImagePipeline",)
    text_parts = ("tokenizer", "text_encoder")
    presets = Presets(
        (
            *("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.to_add_out"),
            *("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
        ),
        ("img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2"),
    )

    @property
    def vae_scale(self) -> int:
        """Pixels of a latent's side."""
        return 1 << len(self.base.config("vae")["temperal_downsample"])

    def encode_images(self, pixels: torch.Tensor) -> Tensors:
        """The posterior of videos of one frame."""
        posterior = self.parts["vae"].encode(pixels[:, :, None]).latent_dist
        return {"mean": posterior.mean[:, :, 0], "std": posterior.std[:, :, 0]}

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """Each channel by its own mean and deviation."""
        config = self.base.config("vae")
        mean, deviation = (
            latents.new_tensor(config[name]).view(-1, 1, 1)
            for name in ("latents_mean", "latents_std")
        )
        return (latents - mean) / deviation

    def encode_texts(self, captions: list[str]) -> list[Tensors]:
        """``context``: (tokens of the caption, width)."""
        encoder = self.parts["text_encoder"]
        texts = [_ASKED.format(caption) for caption in captions]
        asked = tokens(self.parts["tokenizer"], texts, _BEFORE + _LONGEST, to_longest=True)
        asked = asked.to(encoder.device)
        states = encoder(
            input_ids=asked.input_ids,
            attention_mask=asked.attention_mask,
            output_hidden_states=True,
        ).hidden_states[-1]
        held = zip(states, asked.attention_mask.bool(), strict=True)
        return [{"context": one[there][_BEFORE:]} for one, there in held]

    def stacked(self, texts: list[Tensors]) -> Tensors:
        """``context``, and a ``mask`` where captions differ in length."""
        return filled_up(texts)

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, sigmas: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """The flow."""
        height, width = noisy.shape[-2:]
        found = denoiser(
            hidden_states=packed(noisy),
            timestep=sigmas,
            encoder_hidden_states=batch.text["context"].to(batch.dtype),
            encoder_hidden_states_mask=batch.text.get("mask"),
            img_shapes=[[(1, height // 2, width // 2)]] * batch.size,
            return_dict=False,
        )[0]
        return unpacked(found, noisy)
