"""check and plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lora_convert_train.cli._options import setting_options, settings_of

if TYPE_CHECKING:
    from lora_convert_train.settings import Settings


@click.command()
@setting_options
def check(config: str | None, **given: Any) -> None:
    """Is the dataset whole? All that is wrong is told in one list, with exit code 2; no model is read."""
    from lora_convert_train.training import read_items

    dataset = read_items(settings_of(config, given))
    for warning in dataset.warnings:
        click.echo(f"note: {warning}", err=True)
    click.echo(f"{len(dataset.items)} images with captions in {dataset.folder}")


@click.command()
@setting_options
def plan(config: str | None, **given: Any) -> None:
    """What a training would do and take: buckets, steps, memory, sizes. No weight is read."""
    show_plan(settings_of(config, given))


def show_plan(settings: Settings) -> None:
    """Print a plan on stdout."""
    from lora_convert_train.base import open_base
    from lora_convert_train.planning import plan_training
    from lora_convert_train.training import read_items

    dataset = read_items(settings)
    base = open_base(settings.pretrained_model_name_or_path, settings.revision, settings.variant)
    made = plan_training(settings, dataset, base)
    for note in made.notes:
        click.echo(f"note: {note}", err=True)
    shapes = ", ".join(f"{w}x{h}: {count}" for (w, h), count in made.buckets.items())
    rows = {
        "images": f"{made.images}  ({shapes})",
        "steps": f"{made.steps}, {made.epochs:.1f} epochs of {made.batches} batches",
        "LoRA": f"{made.modules} modules, {made.trainable:,} numbers, {_size(made.adapter)}",
        "checkpoint": _size(made.checkpoint),
        "disk": f"{_size(made.disk)} in {settings.output_dir}",
        "cache": f"{_size(made.cache)}, and some kB a caption",
        "memory": f"{_size(made.memory)} and activations; the frozen weights are {_size(made.weights)}",
    }
    for name, text in rows.items():
        click.echo(f"{name + ':':12}{text}")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
