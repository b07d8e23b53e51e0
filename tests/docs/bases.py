"""The base that the adapter of ``fixtures/tiny-run`` was trained on: a pipeline, and one file.

Its UNet is the very one, taken out of a checkpoint; the rest has random weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.numpy import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from lora_convert.architectures import ARCHITECTURES, fill, find
from tests.oracles.tiny_pipelines import clip_tokenizer

UNET = {
    "sample_size": 8,
    "block_out_channels": (4, 8, 12, 12),
    "norm_num_groups": 4,
    "cross_attention_dim": 8,
    "attention_head_dim": 1,
}
"""As in ``fixtures/make.py``."""


def build_bases(folder: Path, checkpoint: Path) -> None:
    """A pipeline and a checkpoint in one file, in a new folder, of the frozen weights in `checkpoint`."""
    weights = {
        key.removeprefix("base_model.model.").replace(".base_layer.", "."): tensor
        for key, tensor in load_file(checkpoint).items()
        if ".lora_" not in key
    }
    folder.mkdir()
    _pipeline(weights).save_pretrained(folder / "stable-diffusion-v1-5")
    save_file(_one_file(weights), folder / "v1-5.safetensors")


def _pipeline(weights: dict[str, np.ndarray]) -> Any:
    torch.manual_seed(15)
    unet = UNet2DConditionModel(**UNET)
    unet.load_state_dict({key: torch.from_numpy(tensor) for key, tensor in weights.items()})
    text = CLIPTextConfig(
        vocab_size=50,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=8,
        max_position_embeddings=8,
        bos_token_id=0,
        eos_token_id=49,
    )
    vae = AutoencoderKL(
        block_out_channels=(48, 48),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=32,
    )
    return StableDiffusionPipeline(
        unet=unet,
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=clip_tokenizer(),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _one_file(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The UNet's layers in their authors' names, among those of the other components."""
    found = {"alphas_cumprod": np.linspace(1, 0, 1000, dtype=np.float32)}
    for key, tensor in weights.items():
        module, _, leaf = key.rpartition(".")
        entry, digits = find(ARCHITECTURES["sd1"], module, "unet")
        if entry is not None:
            native = fill(entry.row.native, entry.wildcards(digits))
            found[f"model.diffusion_model.{native}.{leaf}"] = np.ascontiguousarray(tensor)
    return found
