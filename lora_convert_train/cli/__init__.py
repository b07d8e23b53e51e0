"""lora-convert-train: a command each in a file, imported when it is run."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from lora_convert.errors import LoraConvertError, MissingExtraError
from lora_convert_train import __version__

COMMANDS = {
    "train": ("train", "Train a LoRA on a folder of images and captions."),
    "resume": ("train", "Go on with a run that was stopped, bit for bit."),
    "check": ("plan", "Is the dataset whole? All that is wrong, in one list."),
    "plan": ("plan", "What a training would do and take, before it runs."),
    "sample": ("results", "Draw images with what a run learned."),
    "export": ("results", "Write a run's result again, of any of its checkpoints."),
}
"""Name to module and one line of help."""

_SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda token: token.replace("_", "-"),
    "max_content_width": 100,
}


class _Commands(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{COMMANDS[cmd_name][0]}")
        found: click.Command = getattr(module, cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line each, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


_PACKAGES = ("PIL", "accelerate", "diffusers", "peft", "torch", "transformers")
"""Of the extra ``train``."""


@click.group(cls=_Commands, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="lora-convert-train")
def app() -> None:
    """Train small, exact, resumable LoRA runs."""


def main(arguments: list[str] | None = None) -> Any:
    """Run a command; an error of ours is told in its own words, with its exit code."""
    try:
        app.main(args=arguments, prog_name="lora-convert-train", standalone_mode=True)
    except LoraConvertError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        _fail(MissingExtraError("lora-convert-train", "train"))
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)


def _fail(error: LoraConvertError) -> None:
    lines = error.lines
    click.echo("\n".join((f"error: {lines[0]}", *lines[1:])), err=True)
    sys.exit(error.exit_code)
