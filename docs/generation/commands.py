"""The page of commands: every option of every command."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from generation.markdown import page, table
from lora_convert.cli import app
from lora_convert_train.cli import app as train


def commands_page() -> str:
    """Commands with all their options."""
    return page(
        "Commands",
        "Every option may also be written with underscores (`--scale_from`), and stand before or after"
        " the paths. Results go to stdout, everything else to stderr; `NO_COLOR` is respected. What the"
        " exit codes mean stands in [errors](errors.md), the fields of `--json` in [JSON](json.md).",
        *_command_sections("lora-convert", app),
        *_command_sections("lora-convert-train", train),
    )


def _command_sections(
    name: str, command: click.Command, parent: click.Context | None = None
) -> Iterator[str]:
    context = click.Context(command, parent, name, **command.context_settings)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    text = inspect.cleandoc(command.help or "")
    yield f"## {name}\n\n```text\n{usage}\n```\n\n{text}\n\n{_options(command, context)}"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _command_sections(f"{name} {inner}", found, context)


def _options(command: click.Command, context: click.Context) -> str:
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    records = [option.get_help_record(context) for option in options]
    return table(("option", "meaning"), [(f"`{r[0]}`", r[1]) for r in records if r])
