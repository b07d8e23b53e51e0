"""How each architecture is trained: a file and a class each, found by the class of the base's pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert_train.errors import BaseModelError
from lora_convert_train.recipes._declaration import Batch, Presets, Recipe
from lora_convert_train.recipes.flux import Flux
from lora_convert_train.recipes.flux2_klein import Flux2Klein
from lora_convert_train.recipes.qwen_image import QwenImage
from lora_convert_train.recipes.sdxl import StableDiffusionXL
from lora_convert_train.recipes.stable_diffusion import StableDiffusion
from lora_convert_train.recipes.stable_diffusion3 import StableDiffusion3
from lora_convert_train.recipes.z_image import ZImage

if TYPE_CHECKING:
    from lora_convert_train.base import Base
    from lora_convert_train.settings import Settings

RECIPES: tuple[type[Recipe], ...] = (
    StableDiffusion,
    StableDiffusionXL,
    StableDiffusion3,
    Flux,
    Flux2Klein,
    QwenImage,
    ZImage,
)

__all__ = ["RECIPES", "Batch", "Presets", "Recipe", "recipe_for"]


def recipe_for(base: Base, settings: Settings) -> Recipe:
    """The recipe of a base's pipeline; BaseModelError where there is none."""
    for recipe in RECIPES:
        if base.pipeline in recipe.pipelines:
            _check_scheduler(base)
            return recipe(base, settings)
    known = ", ".join(name for recipe in RECIPES for name in recipe.pipelines)
    raise BaseModelError(
        f"{base.folder}: a {base.pipeline or 'pipeline without a class'} cannot be trained",
        why=f"those can: {known}",
        hint="give the base model's own pipeline, for text to image",
    )


def _check_scheduler(base: Base) -> None:
    """Raise BaseModelError for models whose noise is scaled as Karras et al. 2022 do it (EDM)."""
    name = str(base.config("scheduler").get("_class_name", ""))
    if name.startswith("EDM"):
        raise BaseModelError(
            f"{base.folder}: models of {name} cannot be trained",
            why="their noise levels and latents are scaled in another way",
            hint="give a base that predicts noise, velocity or a flow",
        )
