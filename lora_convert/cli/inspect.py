"""lora-convert inspect."""

from __future__ import annotations

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output
from lora_convert.errors import EXIT_DONE, EXIT_PARTIAL, LoraConvertError


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@click.option(
    "--health", is_flag=True, help="Read the weights too: NaN, zeros, missing partners, duplicates."
)
@click.option("--names", is_flag=True, help="List the keys as a tree.")
@_options.component
@_options.architecture
@_options.output
def inspect(
    paths: tuple[str, ...],
    health: bool,
    names: bool,
    component: str | None,
    architecture: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """What is this file or folder? Reads the header and scalars only.

    Exit code 0 where a format was named and every key is explained, 4 where not, 1 where the file is
    broken, 3 where some of several failed.
    """
    from lora_convert.operations.inspect import inspect as run

    out = Output(json=as_json, quiet=quiet)
    codes = []
    for path in paths:
        try:
            found = run(path, architecture=architecture, component=component, health=health)
        except LoraConvertError as error:
            from lora_convert.cli._errors import as_json as fields
            from lora_convert.cli._errors import report

            if as_json:
                out.object({"path": path, "error": fields(error)})
            codes.append(report(error, json=False))
            continue
        if as_json:
            out.object(found.as_json())
        else:
            from lora_convert.cli._render import show_inspection

            show_inspection(out, found, names=names, several=len(paths) > 1)
        codes.append(found.exit_code)
    failed = [code for code in codes if code != EXIT_DONE]
    return EXIT_PARTIAL if failed and len(paths) > 1 else failed[0] if failed else EXIT_DONE
