"""lora-convert verify."""

from __future__ import annotations

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output
from lora_convert.errors import EXIT_DONE, EXIT_FAILED


@click.command()
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@_options.reading
@_options.output
def verify(
    first: str,
    second: str,
    adapter: str | None,
    component: str | None,
    architecture: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Compare the effective weight change of every module of two files or folders, in any formats.

    Exit code 0 where they act alike, 1 where they differ, 4 where one is not recognised.
    """
    from lora_convert.cli._render import show_comparison
    from lora_convert.operations.verify import verify as run

    out = Output(json=as_json, quiet=quiet)
    proof = run(first, second, adapter=adapter, component=component, architecture=architecture)
    if as_json:
        out.object({"first": first, "second": second, **proof.as_json()})
    else:
        show_comparison(out, proof)
    return EXIT_DONE if proof.equal else EXIT_FAILED
