"""lora-convert pipeline."""

from __future__ import annotations

from typing import Any

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output


@click.command()
@click.argument("checkpoint", type=click.Path())
@click.option(
    "--base",
    metavar="DIR|REPO|FILE",
    help="The base: a pipeline's folder, a repository of the Hub (its cache first), or a checkpoint in one"
    " file. Default: what the run or the adapter names.",
)
@click.option(
    "-o", "--output", metavar="DIR", required=True, type=click.Path(), help="The pipeline's folder."
)
@click.option(
    "--single-file",
    is_flag=True,
    help="Write one file instead, in the names of a base that is one file (see: merge).",
)
@_options.merging
@_options.force
@_options.scale_from
@_options.reading
@_options.no_verify
@_options.dry_run
@_options.output
def pipeline(
    checkpoint: str,
    base: str | None,
    output: str,
    single_file: bool,
    scale: float,
    dtype: str,
    layout: str,
    link: str,
    config: str | None,
    hash_files: bool,
    force: bool,
    no_verify: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **reading: Any,
) -> int:
    """Merge the adapter in CHECKPOINT into its base: a folder that Diffusers loads as any pipeline.

    CHECKPOINT is whatever inspect knows. A whole wrapped model brings its own frozen weights. Every module
    of the adapter must find its weight, else nothing is written.
    """
    from lora_convert.cli._pipelines import show_assembled, show_pipeline_plan
    from lora_convert.operations.assembling import Assembly
    from lora_convert.operations.pieces import options_of
    from lora_convert.operations.pipeline import plan_pipeline
    from lora_convert.operations.sharing import store_of

    out = Output(json=as_json, quiet=quiet)
    options = options_of(scale, dtype, layout, link, config)
    if single_file:
        from lora_convert.cli.merge import merged
        from lora_convert.operations.merging import Added, in_one_file
        from lora_convert.operations.reading import Reading

        into = in_one_file(base, options)
        how = Reading(**reading)
        return merged(out, [Added(checkpoint, scale)], into, output, force, no_verify, dry_run, how)
    with plan_pipeline(checkpoint, base=base, output=output, options=options, **reading) as plan:
        progress = out.progress("writing", plan.size)
        assembly = Assembly(plan, store_of(output), not no_verify, progress)
        if assembly.copying:
            out.note(f"note: {assembly.copying}")
        if dry_run:
            show_pipeline_plan(out, assembly)
            return 0
        show_assembled(out, assembly, assembly.run(force=force, whole_files=hash_files))
    return 0
