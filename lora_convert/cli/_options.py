"""Options that mean the same in every command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
quiet = click.option(
    "--quiet", "-q", is_flag=True, help="Print only the output's path, or one word or line."
)
dry_run = click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
force = click.option("--force", is_flag=True, help="Replace an output that exists.")
adapter = click.option(
    "--adapter", metavar="NAME", help="The adapter to read, where a file holds several."
)


def format_names(context: click.Context, parameter: click.Parameter, beginning: str) -> list[str]:
    """Formats, for the shell to complete."""
    from lora_convert.formats import FORMATS

    return [name for name in FORMATS if name.startswith(beginning)]


def _architecture_names(
    context: click.Context, parameter: click.Parameter, beginning: str
) -> list[str]:
    from lora_convert.architectures import ARCHITECTURES

    return [name for name in ARCHITECTURES if name.startswith(beginning)]


def _component_names(
    context: click.Context, parameter: click.Parameter, beginning: str
) -> list[str]:
    from lora_convert.formats import COMPONENTS

    return [name for name in COMPONENTS if name.startswith(beginning)]


component = click.option(
    "--component",
    metavar="NAME",
    shell_complete=_component_names,
    help="The component of names that do not tell theirs, e.g. unet, text_encoder_2.",
)
architecture = click.option(
    "--architecture",
    metavar="NAME",
    shell_complete=_architecture_names,
    help="Read the names as this architecture's (see: lora-convert formats).",
)


def reading(command: Command) -> Command:
    """Options that say how a source is read."""
    return adapter(component(architecture(command)))


def output(command: Command) -> Command:
    """Options that say how results are shown."""
    return as_json(quiet(command))
