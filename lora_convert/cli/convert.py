"""lora-convert convert, and its short forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output


def _conversion(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every conversion."""
    decorators = (
        click.argument("source", type=click.Path()),
        click.option(
            "-o",
            "--output",
            metavar="PATH",
            type=click.Path(),
            help="A file, if it ends in .safetensors, else a folder. Default: beside the source.",
        ),
        _options.force,
        click.option(
            "--dtype",
            type=click.Choice(["keep", "fp32", "fp16", "bf16"]),
            default="keep",
            show_default=True,
            help="Dtype of the factors.",
        ),
        click.option(
            "--losses",
            type=click.Choice(["allow", "warn", "refuse"]),
            default="warn",
            show_default=True,
            help="What to do where the target cannot hold everything.",
        ),
        click.option(
            "--scale-from",
            metavar="PATH|alpha=N|scale=N|rank",
            help="Where scales come from, over what the file says.",
        ),
        _options.reading,
        click.option("--no-verify", is_flag=True, help="Skip the proof, all but the header."),
        _options.dry_run,
        _options.output,
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def _run(
    to: str,
    source: str,
    *,
    no_verify: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **how: Any,
) -> int:
    from lora_convert.cli._render import show_plan, show_result
    from lora_convert.operations.convert import plan_convert

    out = Output(json=as_json, quiet=quiet)
    with plan_convert(source, to, **how) as plan:
        if dry_run:
            show_plan(out, plan)
            return 0
        progress = out.progress("writing", plan.plan.size)
        show_result(out, plan.apply(force=force, verify=not no_verify, progress=progress))
    return 0


@click.command()
@click.option(
    "--to",
    required=True,
    metavar="FORMAT",
    shell_complete=_options.format_names,
    help="The format to write (see: lora-convert formats).",
)
@_conversion
def convert(to: str, **options: Any) -> int:
    """Write the adapter in SOURCE, a file or folder, in another format.

    The source is never touched; the output appears whole or not at all, after a proof that every
    module's effective weight change is what it was.
    """
    return _run(to, **options)


@click.command("to-diffusers")
@_conversion
def to_diffusers(**options: Any) -> int:
    """Convert SOURCE to pytorch_lora_weights.safetensors, which Diffusers loads at the right strength."""
    return _run("diffusers", **options)


@click.command("to-peft")
@_conversion
def to_peft(**options: Any) -> int:
    """Convert SOURCE to a folder that PeftModel.from_pretrained loads."""
    return _run("peft", **options)


@click.command("to-kohya")
@_conversion
def to_kohya(**options: Any) -> int:
    """Convert SOURCE to kohya's names, with an alpha beside each module."""
    return _run("kohya", **options)
