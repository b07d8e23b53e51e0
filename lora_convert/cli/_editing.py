"""Commands that change an adapter and write it again: their options, and what they do with a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from lora_convert.cli import _options

if TYPE_CHECKING:
    from lora_convert.operations.editing import Writing
    from lora_convert.operations.reading import Reading
    from lora_convert.operations.writing import ConversionPlan
    from lora_convert.planning import LossPolicy

Command = TypeVar("Command", bound=Callable[..., Any])


class How(NamedTuple):
    """What the options that all these commands have say."""

    to: str | None
    output: str | None
    dtype: str
    losses: LossPolicy
    force: bool
    no_verify: bool
    dry_run: bool
    as_json: bool
    quiet: bool
    scale_from: str | None = None
    adapter: str | None = None
    component: str | None = None
    architecture: str | None = None

    @property
    def reading(self) -> Reading:
        """How sources are read."""
        from lora_convert.operations.reading import Reading

        return Reading(self.scale_from, self.adapter, self.component, self.architecture)

    @property
    def writing(self) -> Writing:
        """How the result is written."""
        from lora_convert.operations.editing import Writing

        return Writing(self.to, self.output, self.dtype, self.losses)

    def run(self, plan: ConversionPlan) -> int:
        """Show a plan, or apply it and show what came of it."""
        from lora_convert.cli._applying import apply
        from lora_convert.cli._output import Output

        out = Output(json=self.as_json, quiet=self.quiet)
        return apply(out, plan, force=self.force, no_verify=self.no_verify, dry_run=self.dry_run)


def reading(command: Command) -> Command:
    """Those that say how adapters are read."""
    return _options.scale_from(_options.reading(command))


def writing(command: Command) -> Command:
    """Those that say how the result is written."""
    for decorate in (
        _options.output,
        _options.dry_run,
        _options.no_verify,
        _options.losses,
        _options.dtype,
        _options.force,
        click.option(
            "-o",
            "--output",
            metavar="PATH",
            type=click.Path(),
            help="A file, if it ends in .safetensors, else a folder. Default: beside the first source.",
        ),
        click.option(
            "--to",
            metavar="FORMAT",
            shell_complete=_options.format_names,
            help="The format to write. Default: that of the first LoRA.",
        ),
    ):
        command = decorate(command)
    return command
