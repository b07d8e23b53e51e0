"""lora-convert compact and restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lora_convert.cli import _options
from lora_convert.cli._asking import agreed
from lora_convert.cli._asking import yes as yes_option
from lora_convert.cli._output import Output, size

if TYPE_CHECKING:
    from lora_convert.operations.compact_plan import CompactPlan, Item
    from lora_convert.operations.pruning import PrunePlan
    from lora_convert.operations.restoring import Restored

_active = click.option("--force", is_flag=True, help="Also where training may still be running.")


@click.command()
@click.argument("path", metavar="RUN|CHECKPOINT", type=click.Path())
@click.option(
    "--base",
    metavar="DIR|REPO|FILE",
    help="The base whose frozen copies go. Default: the run's store, then what the run names if it is at"
    " hand, else the first checkpoint's own.",
)
@click.option(
    "--drop-resume-state",
    is_flag=True,
    help="Move optimizers, schedulers and random numbers to the trash: no training goes on from there.",
)
@yes_option
@_active
@_options.dry_run
@_options.output
def compact(
    path: str,
    base: str | None,
    drop_resume_state: bool,
    yes: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Replace frozen copies of the base in checkpoints by a recipe that rebuilds them to the byte.

    What is left beside the recipe is the adapter; the base is kept once, in RUN/compacted_bases. A file goes
    only after its recipe has rebuilt every byte of it. inspect, convert, pipeline and batch read a compacted
    checkpoint as before; restore brings the file back.
    """
    from lora_convert.errors import EXIT_DONE
    from lora_convert.operations.compact_plan import plan_compact

    out = Output(json=as_json, quiet=quiet)
    plan = plan_compact(path, base=base)
    states = plan.home.plan_drop() if drop_resume_state else ()
    if dry_run:
        _show_plan(out, plan, states)
        return EXIT_DONE
    if plan.size or any(one.taken for one in states):
        if not yes:
            _show_plan(Output(quiet=quiet), plan, states)
        if not agreed("Do that?", yes=yes):
            return EXIT_DONE
    done = []
    for item in plan.apply(out.progress("comparing", plan.size), force=force):
        done.append(item)
        _show_item(out, item)
    if not as_json and plan.size:
        freed = sum(item.freed for item in done) - plan.added
        kept = f", and {size(plan.added)} are kept once as the base" if plan.added else ""
        out.note(f"freed: {size(max(freed, 0))}{kept}")
    left = [_dropped(out, one, force=force) for one in states if one.taken]
    return _code([item.status == "left" for item in done] + left)


def _dropped(out: Output, plan: PrunePlan, *, force: bool) -> bool:
    """Move states to the trash; whether anything of them stays."""
    done = plan.apply(force=force)
    if not out.json and done.item:
        run = plan.run.path
        out.note(
            f"moved to the trash: {size(plan.freed)} of states; lora-convert trash empty {run}"
        )
    for one in done.left:
        out.problem(f"left: {one.title}: {one.error.what}")
    return bool(done.left)


@click.command()
@click.argument("path", metavar="RUN|CHECKPOINT", type=click.Path())
@click.option(
    "--base", metavar="DIR|REPO", help="Where the base is, if RUN/compacted_bases has been lost."
)
@yes_option
@_options.dry_run
@_options.output
def restore(
    path: str, base: str | None, yes: bool, dry_run: bool, as_json: bool, quiet: bool
) -> int:
    """Bring compacted checkpoints back: the same bytes, names and times.

    Each file is hashed before recipe and adapter go. A base that nothing needs any more goes at the end.
    """
    from lora_convert.errors import EXIT_DONE
    from lora_convert.operations.restoring import plan_restore

    out = Output(json=as_json, quiet=quiet)
    plan = plan_restore(path, base=base)
    if dry_run or not plan.items:
        if as_json:
            out.object({**plan.as_json(), "status": "planned"})
        else:
            for item in plan.items:
                _show_restored(out, item)
            out.note(f"would write: {size(plan.size)}" if plan.items else "nothing is compacted")
        return EXIT_DONE
    if not agreed(f"Write {size(plan.size)}?", yes=yes):
        return EXIT_DONE
    done = []
    for item in plan.apply(out.progress("restoring", plan.size)):
        done.append(item)
        _show_restored(out, item)
    return _code([item.status == "failed" for item in done])


def _code(failed: list[bool]) -> int:
    from lora_convert.errors import EXIT_DONE, EXIT_FAILED, EXIT_PARTIAL

    if not any(failed):
        return EXIT_DONE
    return EXIT_FAILED if all(failed) else EXIT_PARTIAL


def _show_plan(out: Output, plan: CompactPlan, states: tuple[PrunePlan, ...]) -> None:
    if out.json:
        dropped = [name for one in states for taken in one.taken for name in taken.names]
        out.object({**plan.as_json(), "resume_state": dropped, "status": "planned"})
        return
    for item in plan.items:
        _show_item(out, item)
    if plan.added:
        out.note(f"kept once: {size(plan.added)} in {plan.home.path}/compacted_bases")
    out.note(f"would free: {size(max(plan.freed, 0))}")
    for one in states:
        for taken in one.taken:
            out.line(f"trash: {taken.title}: {size(taken.size)} ({', '.join(taken.names)})")
        for note in one.notes:
            out.note(f"note: {note}")


def _show_item(out: Output, item: Item) -> None:
    if out.json:
        out.object(item.as_json())
    elif item.why:
        out.line(f"{item.status}: {item.path}: {item.why}")
    elif out.quiet:
        out.line(item.path)
    else:
        sizes = f"{size(item.size)} → {size(item.kept)}"
        out.line(f"{item.status}: {item.path}: {sizes}; base: {item.base}")


def _show_restored(out: Output, item: Restored) -> None:
    if out.json:
        out.object(item.as_json())
    elif item.why:
        out.line(f"{item.status}: {item.path}: {item.why}")
    elif out.quiet:
        out.line(item.path)
    else:
        out.line(f"{item.status}: {item.path} ({size(item.size)})")
