"""lora-convert check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output

if TYPE_CHECKING:
    from lora_convert.operations.loading import Check


@click.command()
@click.argument("path", type=click.Path())
@_options.application
@_options.reading
@_options.output
def check(
    path: str,
    application: str | None,
    adapter: str | None,
    component: str | None,
    architecture: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Will it load in your application, and load right?

    Nothing is run: what each application reads, leaves out and gets wrong stands in tables. Exit code 0
    where all that were asked about load it right, 1 where one does not, 4 where the file is not recognised.
    """
    from lora_convert.operations.loading import check as run
    from lora_convert.operations.loading import helps

    out = Output(json=as_json, quiet=quiet)
    how = {"adapter": adapter, "component": component, "architecture": architecture}
    found = run(path, application=application, **how)
    if as_json:
        out.object(found.as_json())
    else:
        _show(out, found)
        if application and found.exit_code and helps(path, application, **how):
            out.note(f"next: lora-convert convert {path} --for {application}")
    return found.exit_code


def _show(out: Output, found: Check) -> None:
    if not out.quiet:
        out.line(f"{found.path}: {found.format}, {found.architecture or 'unknown architecture'}")
    for loading in found.loadings:
        verdict = "right" if loading.right else "not right"
        applied = f"applied {loading.applied}/{loading.modules} modules"
        out.line(f"{loading.application}: {verdict}, {applied}")
        for finding in () if out.quiet else loading.findings:
            out.line(f"  {finding}")
            if len(found.loadings) == 1:
                out.line(f"  from: {finding.source}")
