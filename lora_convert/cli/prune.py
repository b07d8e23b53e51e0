"""lora-convert prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lora_convert.cli import _options
from lora_convert.cli._asking import agreed, yes
from lora_convert.cli._output import Output, size
from lora_convert.errors import EXIT_DONE, EXIT_PARTIAL

if TYPE_CHECKING:
    from lora_convert.operations.pruning import Pruned, PrunePlan, Taken

_SHOWN = 12
"""Characters of a hash."""


@click.command()
@click.argument("run", type=click.Path())
@click.option(
    "--keep-best", "best", type=click.IntRange(1), metavar="N", help="The N of the lowest loss."
)
@click.option("--keep-last", "last", type=click.IntRange(1), metavar="N", help="The last N.")
@click.option(
    "--keep-every",
    "every",
    type=click.IntRange(1),
    metavar="N",
    help="Those whose step is a multiple of N.",
)
@click.option(
    "--pin",
    "pins",
    type=int,
    metavar="STEP",
    multiple=True,
    help="That of this step, whatever the rules say; may be given again.",
)
@click.option(
    "--drop-resume-state",
    is_flag=True,
    help="Also optimizers, schedulers and random numbers of those that stay: no training goes on from there.",
)
@click.option("--unused", is_flag=True, help="Also what pipelines shared and none uses any more.")
@yes
@_options.dry_run
@click.option("--force", is_flag=True, help="Also where the training may not have ended.")
@_options.output
def prune(
    run: str,
    yes: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    **rules: Any,
) -> int:
    """Move the checkpoints of RUN that no rule keeps to its trash, with all that belongs to them.

    A checkpoint stays that any rule keeps; so do the newest and the final adapter, always. All can be had
    back with lora-convert trash undo RUN, and nothing is free before lora-convert trash empty RUN.
    """
    from lora_convert.operations.addresses import run_at
    from lora_convert.operations.idle import check_idle
    from lora_convert.operations.pruning import Rules, plan_prune

    if not any(rules.values()):
        raise click.UsageError(
            "nothing says what is to go: give for example --keep-best 3 --keep-last 1,"
            " or --drop-resume-state, or --unused"
        )
    out = Output(json=as_json, quiet=quiet)
    plan = plan_prune(run_at(run), Rules(**rules))
    if not as_json:
        _show(out, plan)
    if dry_run or not plan.taken:
        if as_json:
            status = "planned" if plan.taken else "unchanged"
            out.object({**plan.as_json(), "status": status, "item": None})
        elif not plan.taken:
            out.note("nothing to prune")
        if not dry_run:
            plan.apply()
        return EXIT_PARTIAL if plan.left and not dry_run else EXIT_DONE
    check_idle(plan.run.path, force=force)
    if not agreed(f"Move {len(plan.taken)} to the trash?", yes=yes):
        return EXIT_DONE
    done = plan.apply(force=force)
    _show_done(out, plan, done)
    return EXIT_PARTIAL if done.left else EXIT_DONE


def _show(out: Output, plan: PrunePlan) -> None:
    if not out.quiet:
        for kept in plan.kept:
            out.line(f"keep:  {kept.checkpoint.name}: {', '.join(kept.reasons)}")
        for taken in plan.taken:
            out.line(f"trash: {_title(taken)}: {size(taken.size)}{_with(taken)}")
        if plan.taken:
            out.line(f"frees {size(plan.freed)} once the trash is emptied")
    for left in plan.left:
        out.problem(f"left:  {left.title}: {left.error.what}")
    for note in plan.notes:
        out.note(f"note: {note}")


def _title(taken: Taken) -> str:
    return f"shared file {taken.title[:_SHOWN]}" if taken.kind == "shared" else taken.title


def _with(taken: Taken) -> str:
    """What goes along with a checkpoint, or which files a state is."""
    names = [*taken.names]
    if taken.kind == "checkpoint":
        return f", with {', '.join(names[:-1])}" if names[:-1] else ""
    return f" ({', '.join(names)})" if taken.kind == "resume state" else ""


def _show_done(out: Output, plan: PrunePlan, done: Pruned) -> None:
    known = {left.title for left in plan.left}
    for left in done.left:
        if left.title not in known:
            out.problem(f"left:  {left.title}: {left.error.what}")
    if out.json:
        said = plan._replace(taken=done.taken, left=done.left).as_json()
        out.object({**said, "status": "pruned", "item": done.item and done.item.id})
    elif done.item and out.quiet:
        out.line(done.item.id)
    elif done.item:
        out.line(
            f"moved to the trash as {done.item.id}; back: lora-convert trash undo {plan.run.path}"
        )
