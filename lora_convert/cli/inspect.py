"""lora-convert inspect."""

from __future__ import annotations

from collections.abc import Sequence

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output
from lora_convert.errors import EXIT_DONE, EXIT_PARTIAL, LoraConvertError
from lora_convert.storage.places import is_folder


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

    A folder of several checkpoints is each of its weight files. Several give one line each, and with
    --names or --health a block each.

    Exit code 0 where a format was named and every key is explained, 4 where not, 1 where the file is
    broken, 3 where some of several failed.
    """
    out = Output(json=as_json, quiet=quiet)
    sources: Sequence[str] = paths
    if len(paths) > 1 or is_folder(paths[0]):
        from lora_convert.operations.several import sources_of

        sources = sources_of(paths, architecture=architecture, component=component)
    how = {"architecture": architecture, "component": component}
    if len(sources) > 1 and (as_json or not (health or names)):
        return _lines(out, sources, health=health, **how)
    return _blocks(out, sources, names=names, health=health, **how)


def _blocks(
    out: Output, sources: Sequence[str], *, names: bool, health: bool, **how: str | None
) -> int:
    """Everything about each."""
    from lora_convert.operations.inspect import inspect as run

    codes = []
    for path in sources:
        try:
            found = run(path, health=health, **how)
        except LoraConvertError as error:
            from lora_convert.cli._errors import as_json as fields
            from lora_convert.cli._errors import report

            if out.json:
                out.object({"path": path, "error": fields(error)})
            codes.append(report(error, json=False))
            continue
        if out.json:
            out.object(found.as_json())
        else:
            from lora_convert.cli._render import show_inspection

            show_inspection(out, found, names=names, several=len(sources) > 1)
        codes.append(found.exit_code)
    failed = [code for code in codes if code != EXIT_DONE]
    return EXIT_PARTIAL if failed and len(sources) > 1 else failed[0] if failed else EXIT_DONE


def _lines(out: Output, sources: Sequence[str], *, health: bool, **how: str | None) -> int:
    """One line about each."""
    from lora_convert.cli._lines import columns, inspection_line
    from lora_convert.cli._render import brief
    from lora_convert.cli._several import Done, report_each, shown_names
    from lora_convert.operations.inspect import inspect as run

    named = columns(shown_names(sources))

    def attempt(path: str) -> Done:
        found = run(path, health=health, **how)
        line = f"{named[path]}  {inspection_line(found)}"
        status = "refused" if found.exit_code else "read"
        return Done(status, line, brief(found), found.as_json(), found.exit_code)

    return report_each(
        out,
        sources,
        attempt,
        failed="refused",
        failure=lambda path, what: f"{named[path]}  error: {what}",
    )
