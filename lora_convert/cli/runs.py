"""lora-convert runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output, printable, size
from lora_convert.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from lora_convert.operations.run_report import CheckpointReport, RunReport
    from lora_convert.operations.runs import Run


@click.group()
def runs() -> None:
    """What training runs left behind. No weights are opened, and nothing is written.

    A run's checkpoints have addresses that every command takes as a source: RUN@500, RUN@best,
    RUN@last and RUN@final.
    """


@runs.command("list", short_help="List the runs in a folder and below it.")
@click.argument("path", default=".", type=click.Path())
@_options.output
def list_(path: str, as_json: bool, quiet: bool) -> int:
    """List the runs in PATH, a folder, and below it; the current folder where none is given.

    Sizes are those of the run's folder, hard links counted once, or of the run's own files where
    others may share that.
    """
    from lora_convert.operations.run_listing import runs_below
    from lora_convert.operations.run_report import summary_of

    out = Output(json=as_json, quiet=quiet)
    found = [*runs_below(path)]
    for run in found if as_json or quiet else ():
        if as_json:
            out.object(summary_of(run))
        else:
            out.line(printable(run.address))
    if not (as_json or quiet) and found:
        out.table(
            map(_summary, found), header=("run", "tool", "checkpoints", "last", "date", "size")
        )
    out.note(f"{len(found)} runs" if len(found) != 1 else "1 run")
    return 0


def _summary(run: Run) -> tuple[str, ...]:
    from lora_convert.operations.run_listing import sizes_of

    last = run.checkpoints[-1]
    number = f"epoch {last.epoch}" if last.step is None else str(last.step)
    return (
        printable(run.address),
        run.tool,
        str(len(run.checkpoints)),
        number,
        _day(last.modified),
        size(sizes_of(run).total),
    )


@runs.command(short_help="Show one run's checkpoints.")
@click.argument("path", type=click.Path())
@_options.output
def show(path: str, as_json: bool, quiet: bool) -> int:
    """Show the run in PATH: its checkpoints with date, loss, size and what they were converted to.

    PATH is the run's folder, and where several share it, that and the name of the run's files. The
    loss of a checkpoint is the mean of what was recorded around its step. What it was converted to is
    told by the names that outputs have without -o.
    """
    from lora_convert.operations.addresses import run_at
    from lora_convert.operations.run_report import report_on

    out = Output(json=as_json, quiet=quiet)
    run = run_at(path)
    if quiet and not as_json:
        for one in run.checkpoints:
            out.line(printable(one.path))
        return 0
    report = report_on(run)
    if report.loss_problem:
        out.problem(f"note: losses cannot be read: {printable(report.loss_problem)}")
    if as_json:
        out.object(report.as_json())
    else:
        _show(out, report)
    return 0


def _show(out: Output, report: RunReport) -> None:
    from lora_convert.operations.run_layouts import layout_of

    run = report.run
    kinds = {kind: count for kind, count in report.sizes._asdict().items() if count}
    listed = ", ".join(f"{kind} {size(count)}" for kind, count in kinds.items())
    rows = [
        ("run", run.address),
        ("tool", layout_of(run.tool).title),
        ("base model", run.base_model or "not said"),
        ("final", run.final or "none"),
        ("losses", report.losses.source if report.losses else "none recorded"),
        ("size", f"{size(report.sizes.total)} ({listed})"),
    ]
    out.table([(name, printable(value)) for name, value in rows])
    out.line()
    numbers = [
        number
        for number in ("step", "epoch")
        if any(getattr(one, number) is not None for one in run.checkpoints)
    ]
    header = (*numbers, "date", "loss", "size", "converted to")
    out.table((_cells(report, one, numbers) for one in report.checkpoints), header=header)


def _cells(report: RunReport, one: CheckpointReport, numbers: list[str]) -> tuple[str, ...]:
    counts = [getattr(one.checkpoint, number) for number in numbers]
    best = " (best)" if one.checkpoint is report.best else ""
    return (
        *("–" if count is None else str(count) for count in counts),
        _day(one.checkpoint.modified),
        "–" if one.loss is None else f"{one.loss:.4g}{best}",
        size(one.sizes.total),
        ", ".join(one.converted) or "–",
    )


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


@runs.command(short_help="Check what a run's pipelines share against its hashes.")
@click.argument("path", type=click.Path())
@_options.output
def check(path: str, as_json: bool, quiet: bool) -> int:
    """Read all that pipelines and compacted checkpoints of the run in PATH share; compare it with its hashes.

    Compacted files are rebuilt and hashed. Of a pipeline's own files, which have no hash, only the sizes are
    compared. Exit code 1 where anything is not as it was.
    """
    from lora_convert.operations.addresses import run_at
    from lora_convert.operations.checking import check_run

    out = Output(json=as_json, quiet=quiet)
    found = check_run(run_at(path))
    if as_json:
        out.object(found.as_json())
    else:
        for problem in found.problems:
            out.line(f"damaged: {problem}")
        if not quiet:
            shared = f"{found.entries} shared files, {size(found.bytes)}"
            state = f"{len(found.problems)} problems" if found.problems else "all as they were"
            made = f"{found.pipelines} pipelines"
            if found.compacted:
                made += f", {found.compacted} compacted files"
            out.line(f"{made}, {shared}: {state}")
    return EXIT_FAILED if found.problems else EXIT_DONE
