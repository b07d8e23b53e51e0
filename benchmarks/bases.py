"""A base of Stable Diffusion 1.5's size and names, with weights that mean nothing."""

from __future__ import annotations

import json
import os
import subprocess

from benchmarks.files import Tensors, write_tensors
from benchmarks.measuring import PYTHON

_SHAPES = """
import json, torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel
with torch.device("meta"):
    models = {
        "unet": UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8, sample_size=64),
        "vae": AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4),
        "text_encoder": CLIPTextModel(CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
            projection_dim=768)),
    }
print(json.dumps({name: {
    "config": json.loads(model.config.to_json_string() if name == "text_encoder" else model.to_json_string()),
    "tensors": {key: list(value.shape) for key, value in model.state_dict().items()}
} for name, model in models.items()}))
"""
_CLASSES = {
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
}


def write_base(folder: str, dtype: str = "F32") -> str:
    """The pipeline's folder: UNet, VAE and text encoder, 4.3 GB in fp32."""
    done = subprocess.run((PYTHON, "-c", _SHAPES), capture_output=True, text=True, check=True)
    models = json.loads(done.stdout.splitlines()[-1])
    os.makedirs(folder)
    with open(os.path.join(folder, "model_index.json"), "w", encoding="utf-8") as index:
        json.dump({"_class_name": "StableDiffusionPipeline", **_CLASSES}, index)
    for name, model in models.items():
        inner = os.path.join(folder, name)
        os.mkdir(inner)
        with open(os.path.join(inner, "config.json"), "w", encoding="utf-8") as config:
            json.dump(model["config"], config)
        shapes = sorted(model["tensors"].items())  # in the order that safetensors writes
        tensors: Tensors = {key: (dtype, tuple(shape)) for key, shape in shapes}
        stem = "model" if name == "text_encoder" else "diffusion_pytorch_model"
        write_tensors(os.path.join(inner, f"{stem}.safetensors"), tensors)
    return folder
