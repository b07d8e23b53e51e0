"""lora-convert batch."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output

if TYPE_CHECKING:
    from lora_convert.operations.batch import RunPlan, Wanted
    from lora_convert.operations.tasks import Outcome


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path())
@click.option("--base", metavar="DIR|REPO|FILE", help="The base. Default: what the run names.")
@click.option("--best", type=int, metavar="N", help="Only the N checkpoints of the lowest loss.")
@click.option("--steps", metavar="N,N", help="Only the checkpoints of these steps.")
@click.option("--every", type=int, metavar="N", help="Only those whose step is a multiple of N.")
@click.option("--last", type=int, metavar="N", help="Only the last N checkpoints.")
@click.option(
    "--to",
    "formats",
    metavar="FORMAT",
    multiple=True,
    shell_complete=_options.format_names,
    help="LoRA files too, in RUN/checkpoint_loras; may be given again.",
)
@_options.merging
@_options.force
@_options.no_verify
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="At once.")
@click.option(
    "--executor", metavar="tcp://HOST:PORT", help="Let the workers of this Dask cluster do it."
)
@click.option("--watch", is_flag=True, help="Go on as checkpoints appear, until interrupted.")
@_options.dry_run
@_options.output
def batch(
    runs: tuple[str, ...],
    best: int | None,
    steps: str | None,
    every: int | None,
    last: int | None,
    jobs: int,
    executor: str | None,
    watch: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **wanted: Any,
) -> int:
    """Make a pipeline of every checkpoint of RUN, in RUN/checkpoint_pipelines, and of its last weights.

    What was made of the same bytes with the same options is skipped. A failure stops nothing (exit 3); an
    interrupted batch goes on where it was.
    """
    from lora_convert.errors import EXIT_DONE, EXIT_PARTIAL, OptionError
    from lora_convert.operations.batch import plan_batch
    from lora_convert.operations.selecting import selector

    if dry_run and watch:
        raise OptionError("watch", True, why="--dry-run looks once", hint="give one of them")
    if executor is not None and jobs > 1:
        why = "the workers of --executor do as many at once as they can"
        raise OptionError("jobs", jobs, why=why, hint="give one of them")
    gc.enable()  # of a thousand checkpoints the cycles would be worth finding
    chosen = selector(best=best, steps=_steps(steps), every=every, last=last)
    out = Output(json=as_json, quiet=quiet)
    make = _wanted(chosen, **wanted)
    if dry_run:
        return _show_plans(out, plan_batch(runs, make))
    counts = {"converted": 0, "skipped": 0, "failed": 0}
    try:
        for outcome in _outcomes(out, runs, make, jobs, executor, watch=watch):
            counts[outcome.status] += 1
            _show(out, outcome)
            sys.stdout.flush()  # what takes hours is followed through pipes too
    except KeyboardInterrupt:
        _show_sum(out, counts)
        raise
    _show_sum(out, counts)
    return EXIT_PARTIAL if counts["failed"] else EXIT_DONE


def _outcomes(
    out: Output,
    runs: Sequence[str],
    wanted: Wanted,
    jobs: int,
    executor: str | None,
    *,
    watch: bool,
) -> Iterator[Outcome]:
    from lora_convert.operations import watching
    from lora_convert.operations.assembling import without_links
    from lora_convert.operations.batch import plan_batch, run_batch
    from lora_convert.operations.executing import doing
    from lora_convert.operations.losses import needed_losses

    plans = [] if watch else plan_batch(runs, wanted)
    if sum(len(plan.waiting) for plan in plans) > 1:  # of one alone its own task sees
        from lora_convert.operations.estimating import check_room, estimates

        check_room(estimates(plans))
    folders = dict.fromkeys(plan.run.path for plan in plans) or runs
    with doing(jobs, executor, folders) as do:
        if watch:
            yield from watching.watch(runs, wanted, do)
        for plan in plans:
            if wanted.base is None and plan.run.base_model and plan.waiting:
                out.note(
                    f"note: {plan.run.address}: base {plan.run.base_model}, which the run names"
                )
            if wanted.selector and wanted.selector.best is not None:
                out.note(f"note: {plan.run.address}: the best by {needed_losses(plan.run).source}")
            told = without_links(plan.run.path) if plan.waiting else ""
            if told and wanted.options.link == "auto":
                out.note(f"note: {plan.run.address}: {told}")
        yield from run_batch(plans, do)


def _wanted(
    chosen: Any,
    *,
    base: str | None,
    formats: tuple[str, ...],
    scale: float,
    dtype: str,
    layout: str,
    link: str,
    config: str | None,
    hash_files: bool,
    force: bool,
    no_verify: bool,
) -> Wanted:
    from lora_convert.operations.batch import Wanted
    from lora_convert.operations.pieces import options_of
    from lora_convert.operations.writing import check_options

    for name in formats:
        check_options(name, None, "warn")
    options = options_of(scale, dtype, layout, link, config)
    return Wanted(options, chosen, formats, base, force, not no_verify, hash_files)


def _steps(text: str | None) -> tuple[int, ...]:
    """Numbers with commas between them."""
    from lora_convert.errors import OptionError

    try:
        return () if text is None else tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError("steps", text, hint="for example --steps 500,1500") from error


def _show_plans(out: Output, plans: list[RunPlan]) -> int:
    for plan in plans:
        waiting = {task.item for task in plan.waiting}
        for task in plan.tasks:
            status = "planned" if task.item in waiting else "skipped"
            if out.json:
                fields = {"run": plan.run.path, "item": task.item, "source": task.source}
                out.object({**fields, "output": task.output, "status": status})
            else:
                out.line(f"{status}: {task.item}: {task.output}")
    return 0


def _show(out: Output, outcome: Outcome) -> None:
    if out.json:
        fields = {"item": outcome.task.item, "source": outcome.task.source}
        out.object({**fields, **outcome.fields, "output": outcome.output, "status": outcome.status})
    elif outcome.status == "failed":
        error = outcome.fields.get("error", {})
        why, next_ = error.get("why", ""), error.get("next", "")
        more = (f"; {why}" if why else "") + (f" (next: {next_})" if next_ else "")
        out.line(f"failed: {outcome.task.item}: {outcome.detail}{more}")
    elif not out.quiet:
        out.line(f"{outcome.status}: {outcome.task.item}: {outcome.output} ({outcome.detail})")
    elif outcome.status == "converted":
        out.line(outcome.output)


def _show_sum(out: Output, counts: dict[str, int]) -> None:
    listed = ", ".join(f"{name.capitalize()} {count}" for name, count in counts.items())
    out.note(f"{listed}, Total {sum(counts.values())}")
