"""lora-convert convert, and its short forms."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output
from lora_convert.storage.places import is_folder

if TYPE_CHECKING:
    from lora_convert.operations.several import Conversions

_SHOWN = 5


def _conversion(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every conversion."""
    decorators = (
        click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path()),
        click.option(
            "-o",
            "--output",
            metavar="PATH",
            type=click.Path(),
            help="A file, if it ends in .safetensors, else a folder; of several sources always a folder."
            " Default: beside the source.",
        ),
        _options.force,
        _options.dtype,
        click.option(
            "--as",
            "recast",
            type=click.Choice(["lora", "full"]),
            help="Write changes of other algorithms (LoHa, LoKr, …) as LoRAs, the nearest of --rank, or"
            " as they are.",
        ),
        click.option(
            "--rank", metavar="R", type=click.IntRange(min=1), help="Rank at most, of --as lora."
        ),
        click.option(
            "--base",
            metavar="PATH",
            type=click.Path(exists=True),
            help="With --as: the base, one file or a pipeline, on which changes are worked out that need one"
            " (OFT, IA3, DoRA, PiSSA, …).",
        ),
        _options.losses,
        _options.scale_from,
        _options.reading,
        _options.no_verify,
        _options.dry_run,
        _options.output,
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def _run(
    to: str, sources: tuple[str, ...], *, output: str | None, as_json: bool, quiet: bool, **how: Any
) -> int:
    out = Output(json=as_json, quiet=quiet)
    if len(sources) == 1 and not is_folder(sources[0]):
        return _one(out, to, sources[0], output=output, **how)
    from lora_convert.operations.several import conversions_of
    from lora_convert.operations.writing import check_options

    reading = {name: how[name] for name in ("architecture", "component")}
    if not to:
        from lora_convert.operations.loading import format_for_all

        to = format_for_all(how["application"], sources, **reading)
    format_ = check_options(to, how["dtype"], how["losses"])
    conversions = conversions_of(sources, format_, output, **reading)
    if conversions.passed_over:
        names = [os.path.basename(path) for path in conversions.passed_over]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        out.note(f"note: outputs of the others are no sources: {', '.join(names[:_SHOWN])}{more}")
    if len(conversions.places) > 1:
        return _each(out, to, conversions, **how)
    [(source, place)] = conversions.places.items()
    return _one(out, to, source, output=place, **how)


def _one(
    out: Output, to: str, source: str, *, no_verify: bool, force: bool, dry_run: bool, **how: Any
) -> int:
    from lora_convert.cli._applying import apply
    from lora_convert.operations.convert import plan_convert

    return apply(
        out, plan_convert(source, to, **how), force=force, no_verify=no_verify, dry_run=dry_run
    )


def _each(
    out: Output,
    to: str,
    conversions: Conversions,
    *,
    no_verify: bool,
    force: bool,
    dry_run: bool,
    **how: Any,
) -> int:
    """Convert each on its own, a line each."""
    from lora_convert.cli._lines import plan_line, result_line
    from lora_convert.cli._several import Done, report_each, shown_names
    from lora_convert.operations.convert import plan_convert

    places = conversions.places
    named = shown_names([*places])

    def attempt(source: str) -> Done:
        with plan_convert(source, to, output=places[source], **how) as plan:
            conversions.check_outputs(plan.outputs)
            if dry_run:
                fields = {**plan.as_json(), "status": "planned"}
                return Done("planned", plan_line(plan), plan.destination.path, fields)
            progress = out.progress("writing", plan.plan.size)
            result = plan.apply(force=force, verify=not no_verify, progress=progress)
            return Done(result.status, result_line(result), result.output, result.as_json())

    return report_each(
        out,
        [*places],
        attempt,
        failed="failed",
        failure=lambda source, what: f"failed: {named[source]}: {what}",
    )


@click.command()
@click.option(
    "--to",
    metavar="FORMAT",
    shell_complete=_options.format_names,
    help="The format to write (see: lora-convert formats).",
)
@_options.application
@_conversion
def convert(to: str | None, application: str | None, **options: Any) -> int:
    """Write the adapter in SOURCE, a file or folder, in another format, or for an application.

    Several sources, or a folder of several checkpoints, are converted one by one, a line each; exit
    code 3 where some failed. A source is never touched; an output appears whole or not at all, after a
    proof that every module's effective weight change is what it was.
    """
    if not to and not application:
        raise click.UsageError("Say what to write: --to FORMAT, or --for APP.")
    return _run(to or "", application=application, **options)


@click.command("to-diffusers")
@_conversion
def to_diffusers(**options: Any) -> int:
    """Convert SOURCE to pytorch_lora_weights.safetensors, which Diffusers loads at the right strength.

    Of several sources each has a folder of its own for it.
    """
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


@click.command("to-comfyui")
@_conversion
def to_comfyui(**options: Any) -> int:
    """Convert SOURCE to ComfyUI's own names: the model's after diffusion_model., with an alpha each."""
    return _run("comfyui", **options)
