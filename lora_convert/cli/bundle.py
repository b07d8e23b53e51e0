"""lora-convert bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output, size
from lora_convert.errors import EXIT_DONE

if TYPE_CHECKING:
    from lora_convert.operations.bundle import Bundled, BundlePlan


@click.command()
@click.argument("source", type=click.Path())
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(), required=True, help="The folder to write."
)
@click.option(
    "--formats",
    metavar="FORMAT,...",
    help="Formats of the LoRA. Default: the one that most applications read for its model.",
)
@click.option(
    "--title", metavar="TEXT", help="What people call it. Default: as the run or file says."
)
@click.option(
    "--images", metavar="DIR", type=click.Path(), help="Previews. Default: the run's samples."
)
@click.option("--instance-prompt", metavar="TEXT", help="The words that call it up.")
@click.option(
    "--base-model", metavar="REPO", multiple=True, help="The model it is for. Repeatable."
)
@click.option("--civitai-base", metavar="NAME", help="Civitai's name for that model.")
@_options.architecture
@_options.force
@_options.dry_run
@_options.output
def bundle(
    source: str,
    output: str,
    formats: str | None,
    title: str | None,
    images: str | None,
    instance_prompt: str | None,
    base_model: tuple[str, ...],
    civitai_base: str | None,
    architecture: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Write a folder to upload to Civitai or hand on: LoRA, previews, words, hashes, how to use it.

    SOURCE is a file, a LoRA folder, a run or one of its checkpoints (RUN@500, RUN@best). What is broken is
    refused. Nothing in the folder tells of this machine but what the file's own metadata say.
    """
    from lora_convert.operations.bundle import plan_bundle
    from lora_convert.operations.publication import publication

    out = Output(json=as_json, quiet=quiet)
    found = publication(
        source,
        title=title,
        base_models=base_model,
        instance_prompt=instance_prompt,
        images=images,
        architecture=architecture,
    )
    wanted = [name.strip() for name in (formats or "").split(",") if name.strip()]
    plan = plan_bundle(found, output, formats=wanted, civitai=civitai_base)
    for warning in (*found.objections, *found.warnings):
        out.note(f"note: {warning}")
    if dry_run:
        _show_plan(out, plan)
    else:
        _show(out, plan, plan.apply(force=force))
    return EXIT_DONE


def _show_plan(out: Output, plan: BundlePlan) -> None:
    if out.json:
        names = [*plan.names.values(), *plan.others]
        out.object(
            {**plan.as_json(), "files": [{"name": name} for name in names], "status": "planned"}
        )
    elif out.quiet:
        out.line(plan.output)
    else:
        _show_facts(out, plan)
        for name, place in plan.names.items():
            out.line(f"would write {plan.output}/{place} ({size(plan.sizes[name])})")
        for name in plan.others:
            out.line(f"would write {plan.output}/{name}")


def _show(out: Output, plan: BundlePlan, done: Bundled) -> None:
    if out.json:
        files = [file.as_json() for file in done.files]
        out.object({**plan.as_json(), "files": files, "status": done.status})
    elif out.quiet:
        out.line(plan.output)
    else:
        _show_facts(out, plan)
        for one in done.formats:
            works = ", ".join(one.titles) or "no application whose tables are known"
            out.line(
                f"{one.files[0].name}: {one.format}, AutoV2 {one.files[0].auto_v2}, works in {works}"
            )
        out.line(f"{done.status}: {plan.output} ({len(done.files) + 1} files)")


def _show_facts(out: Output, plan: BundlePlan) -> None:
    found = plan.found
    out.line(
        f"{found.title}: {', '.join(found.algorithms)}, {found.architecture or 'unknown model'}"
    )
    if found.bases:
        out.line(
            f"base: {', '.join(one.repository for one in found.bases)}; on Civitai {plan.civitai}"
        )
    if found.triggers:
        out.line(f"trigger words: {', '.join(found.triggers)} (from {found.triggers_from})")
