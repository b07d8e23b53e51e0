"""lora-convert formats."""

from __future__ import annotations

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output


@click.command()
@_options.output
def formats(as_json: bool, quiet: bool) -> int:
    """Formats, architectures, algorithms, what converts to what, and which programs read it."""
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
    out.line()
    out.line("What programs read: of how many architectures (check FILE --for PROGRAM says more)")
    out.table(found.reading_rows(), header=("program", *found.formats))
    return 0
