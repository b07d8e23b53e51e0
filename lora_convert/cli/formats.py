"""lora-convert formats."""

from __future__ import annotations

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output


@click.command()
@_options.output
def formats(as_json: bool, quiet: bool) -> int:
    """Formats, architectures, algorithms, and the matrix of what converts to what."""
    from lora_convert.operations.catalogue import catalogue

    out = Output(json=as_json, quiet=quiet)
    found = catalogue()
    if as_json:
        out.object(found.as_json())
        return 0
    for title, rows in found.sections():
        out.line(title)
        out.table([("  " + row[0], *row[1:]) for row in rows])
        out.line()
    out.line("What converts to what")
    out.table(found.matrix_rows(), header=("from \\ to", *found.written))
    return 0
