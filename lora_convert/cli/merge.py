"""lora-convert merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output, size

if TYPE_CHECKING:
    from lora_convert.operations.merging import Added
    from lora_convert.operations.reading import Reading


@click.command()
@click.argument("loras", nargs=-1, required=True, metavar="LORA[:WEIGHT]...", type=click.Path())
@click.option(
    "--into",
    required=True,
    metavar="BASE",
    type=click.Path(),
    help="A checkpoint in one file, or the weights of a pipeline's component.",
)
@click.option(
    "-o", "--output", required=True, metavar="FILE", type=click.Path(), help="The file to write."
)
@_options.force
@_options.no_verify
@_options.dry_run
@_options.output
def merge(
    loras: tuple[str, ...],
    into: str,
    output: str,
    force: bool,
    no_verify: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Merge one LoRA or several into the weights in BASE; all else in it is copied as it is.

    A WEIGHT says how many times a LoRA is added, for example style.safetensors:0.8. Every module of
    every LoRA must find its weight, else nothing is written.
    """
    out = Output(json=as_json, quiet=quiet)
    return merged(out, [added(text) for text in loras], into, output, force, no_verify, dry_run)


def merged(
    out: Output,
    adapters: list[Added],
    into: str,
    output: str,
    force: bool,
    no_verify: bool,
    dry_run: bool,
    reading: Reading | None = None,
) -> int:
    """Merge and show; returns the exit code."""
    from lora_convert.operations.merging import plan_merge
    from lora_convert.operations.reading import Reading

    with plan_merge(adapters, into, output, reading or Reading()) as plan:
        if dry_run:
            _show(out, "would write", {**plan.as_json(), "status": "planned"}, plan.notes)
            return 0
        progress = out.progress("writing", plan.file.size)
        done = plan.apply(force=force, verify=not no_verify, progress=progress)
        _show(out, done.status, done.as_json(), plan.notes)
    return 0


def added(text: str) -> Added:
    """``PATH`` or ``PATH:WEIGHT``; a path that is there is taken as it is."""
    import os
    from math import isfinite

    from lora_convert.operations.merging import Added

    path, colon, number = text.rpartition(":")
    try:
        strength = float(number)
    except ValueError:
        return Added(text, 1.0)
    if not colon or os.path.lexists(text) or not isfinite(strength):
        return Added(text, 1.0)
    return Added(path, strength)


def _show(out: Output, status: str, fields: dict[str, object], notes: tuple[str, ...]) -> None:
    if out.json:
        out.object(fields)
    elif out.quiet:
        out.line(str(fields["output"]))
    else:
        for note in notes:
            out.note(f"note: {note}")
        out.line(f"{status}: {fields['output']} ({size(int(str(fields['bytes'])))})")
        out.line(f"merged: {fields['merged']} tensors changed, {fields['untouched']} as they were")
