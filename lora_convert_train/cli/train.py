"""train and resume."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from lora_convert_train.cli._options import setting_options, settings_of

if TYPE_CHECKING:
    from lora_convert_train.settings import Settings
    from lora_convert_train.training import Outcome

_SIGNALLED = 128


@click.command()
@setting_options
@click.option("--resume", is_flag=True, help="Go on with the run in --output-dir, if there is one.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and taken, and stop.")
def train(config: str | None, resume: bool, dry_run: bool, **given: Any) -> None:
    """Train a LoRA on a folder of images and captions.

    The folder holds NNN.png (or jpg, jpeg, webp) with NNN.txt, or a metadata.jsonl; or --instance-prompt is
    the caption of all.
    """
    settings = settings_of(config, given)
    if dry_run:
        from lora_convert_train.cli.plan import show_plan

        show_plan(settings)
        return
    _train(settings, resume=resume)


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--max-train-steps", type=click.IntRange(1), help="Steps in all, when more are wanted."
)
def resume(run: str, max_train_steps: int | None) -> None:
    """Go on with a RUN from its newest whole checkpoint, with the settings it has."""
    from lora_convert_train.errors import ResumeError
    from lora_convert_train.run_folder import RunFolder

    folder = RunFolder(run)
    if not os.path.exists(folder.config):
        raise ResumeError(
            f"{run}: is no run of lora-convert-train",
            why=f"it has no {os.path.basename(folder.config)}",
            hint="lora-convert runs list FOLDER shows what runs there are",
        )
    given = {"output_dir": run, "max_train_steps": max_train_steps}
    _train(settings_of(folder.config, given), resume=True)


def _train(settings: Settings, *, resume: bool) -> None:
    from lora_convert_train.cli._progress import hush_libraries, watcher
    from lora_convert_train.hardware import is_first_process
    from lora_convert_train.training import train as run_training

    hush_libraries()
    outcome = run_training(settings, resume=resume, watcher=watcher(rate=settings.learning_rate))
    if is_first_process():
        _tell(outcome, settings.max_train_steps)
    if outcome.signal:
        sys.exit(_SIGNALLED + outcome.signal)


def _tell(outcome: Outcome, steps: int) -> None:
    end = "stopped" if outcome.signal else "finished"
    click.echo(f"{end}: {outcome.run.path}, step {outcome.step} of {steps}")
    if outcome.exported:
        click.echo(f"result: {outcome.exported}")
    if outcome.signal:
        click.echo(f"next: lora-convert-train resume {outcome.run.path}", err=True)
