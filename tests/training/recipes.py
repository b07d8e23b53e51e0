"""Recipes of tiny pipelines, and what they are given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from lora_convert_train.base import INDEX, open_base
from lora_convert_train.buckets import Frame
from lora_convert_train.recipes import Batch, Recipe, recipe_for
from lora_convert_train.settings import Settings

FLOWS = ("sd3", "flux", "flux2", "qwen_image", "z_image")
CAPTIONS = ["abc ba", "a"]
HEIGHT, WIDTH = 32, 48
GUIDANCE = 3.5
FRAME = Frame((60, 40), 5, 3, (WIDTH, HEIGHT), (100, 80))
"""Of an image that was larger, and was cut."""

Folder = Callable[[str], Path]
"""Of an architecture's tiny pipeline."""


def recipe_of(folder: Path, **settings: Any) -> Any:
    return recipe_for(open_base(str(folder)), Settings(guidance_scale=GUIDANCE, **settings))


def loaded(folder: Path) -> Any:
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def batch_of(latents: torch.Tensor, text: Any) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(latents, text, (FRAME,) * len(latents), generator, torch.float32)


@torch.no_grad()
def told(recipe: Recipe, captions: list[str]) -> Any:
    """What the denoiser is told of captions."""
    recipe.load_encoders(*recipe.text_parts, device=torch.device("cpu"), dtype=torch.float32)
    return recipe.stacked(recipe.encode_texts(captions))


@torch.no_grad()
def encoded(recipe: Recipe, noise: float = 0.0) -> Any:
    """Images, what was drawn for them (times `noise`), and their latents as the denoiser takes them."""
    recipe.load_encoders("vae", device=torch.device("cpu"), dtype=torch.float32)
    pixels = torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = recipe.encode_images(pixels)
    drawn = noise * torch.randn(found["mean"].shape, generator=torch.Generator().manual_seed(2))
    return pixels, drawn, recipe.latents(found, drawn)


def noisy_latents(recipe: Recipe) -> torch.Tensor:
    shape = encoded(recipe)[2].shape
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def with_config(folder: Path, copy: Path, part: str, *left_out: str, **changes: Any) -> Path:
    """A pipeline without weights, whose `part` is configured otherwise."""
    for path in folder.rglob("*config.json"):
        (copy / path.relative_to(folder)).parent.mkdir(exist_ok=True)
        (copy / path.relative_to(folder)).write_bytes(path.read_bytes())
    (copy / INDEX).write_bytes((folder / INDEX).read_bytes())
    (path,) = (copy / part).glob("*config.json")
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: config[key] for key in config if key not in left_out}))
    return copy
