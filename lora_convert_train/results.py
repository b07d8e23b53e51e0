"""What can be made of a run's checkpoints, when it does not train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lora_convert as lc
from lora_convert.errors import OptionError
from lora_convert_train import manifest
from lora_convert_train.base import open_base
from lora_convert_train.exporting import export
from lora_convert_train.hardware import hardware_for
from lora_convert_train.recipes import recipe_for
from lora_convert_train.run_folder import RunFolder
from lora_convert_train.sampling import Sampler

if TYPE_CHECKING:
    from lora_convert_train.settings import Settings


def export_again(settings: Settings, step: int | None = None) -> str:
    """Write ``lora_weights`` of a checkpoint, the newest where `step` is None; its path."""
    run = RunFolder(settings.output_dir)
    chosen = _step(run, step)
    return export(run, run.checkpoint(chosen), step=chosen, about=manifest.about(settings))


def draw_samples(settings: Settings, step: int | None = None) -> list[str]:
    """Draw the prompts of the settings with a checkpoint; paths of the images."""
    run = RunFolder(settings.output_dir)
    chosen = _step(run, step)
    if not settings.sample_prompts:
        raise OptionError("prompt", "", why="the run has none", hint='--prompt "a photo of …"')
    base = open_base(settings.pretrained_model_name_or_path, settings.revision, settings.variant)
    recipe, hardware = recipe_for(base, settings), hardware_for(settings)
    model = base.load(recipe.denoiser, hardware.dtype)
    lc.merge_into(model, run.checkpoint(chosen))
    return Sampler(run, base, settings, hardware).draw({recipe.denoiser: model}, chosen)


def _step(run: RunFolder, step: int | None) -> int:
    steps = run.steps()
    if not steps or (step is not None and step not in steps):
        known = tuple(map(str, reversed(steps)))
        hint = "" if steps else f"lora-convert-train resume {run.path}"
        raise OptionError("step", step or "newest", choices=known, why="no checkpoint", hint=hint)
    return steps[0] if step is None else step
