"""sample and export."""

from __future__ import annotations

from dataclasses import replace

import click

from lora_convert_train.cli._options import settings_of


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False))
@click.option("--step", type=int, help="Which checkpoint. [the newest]")
@click.option("--prompt", multiple=True, help="What to draw; repeatable. [the run's own]")
@click.option("--sample-steps", type=click.IntRange(1), help="Denoising steps. [the run's own]")
def sample(run: str, step: int | None, prompt: tuple[str, ...], sample_steps: int | None) -> None:
    """Draw images with what a RUN learned, into its samples."""
    from lora_convert_train.results import draw_samples

    settings = _settings(run)
    settings = replace(
        settings,
        sample_prompts=prompt or settings.sample_prompts,
        sample_steps=sample_steps or settings.sample_steps,
    )
    for path in draw_samples(settings, step):
        click.echo(path)


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False))
@click.option("--step", type=int, help="Which checkpoint. [the newest]")
def export(run: str, step: int | None) -> None:
    """Write lora_weights of a RUN again: PEFT, Diffusers and kohya, each proved."""
    from lora_convert_train.results import export_again

    click.echo(export_again(_settings(run), step))


def _settings(run: str):  # type: ignore[no-untyped-def]  # Settings
    from lora_convert_train.run_folder import RunFolder

    return settings_of(RunFolder(run).config, {"output_dir": run})
