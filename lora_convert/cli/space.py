"""lora-convert space."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output, printable, size
from lora_convert.errors import EXIT_DONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lora_convert.operations.space import Space, Use

_BAR = 30
"""Characters of the longest bar."""
_SHOWN = 10
"""Runs and folders; the rest are summed up."""
_SHOWN_INNER = 3
"""Checkpoints of each run."""
_SHOWN_KINDS = 3


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path())
@click.option("--plan", is_flag=True, help="Commands that would free bytes, most first.")
@click.option(
    "--estimate", is_flag=True, help="What batch would need for these runs, before it runs."
)
@click.option("--base", metavar="DIR|REPO|FILE", help="The base, for --estimate.")
@_options.output
def space(
    paths: tuple[str, ...],
    plan: bool,
    estimate: bool,
    base: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Show what is on the disk below PATH, by kind, run and checkpoint; the current folder by default.

    The total is that of du: blocks on the disk, folders too, hard links once. Links are not followed
    and other disks not entered. Of weights only headers are read; files of at least 1 MiB and one size are
    compared as far as they are alike. --json has the plan too.
    """
    out = Output(json=as_json, quiet=quiet)
    if estimate:
        from lora_convert.cli._estimates import show_estimates

        return show_estimates(out, paths, base)
    if base is not None:
        from lora_convert.errors import OptionError

        raise OptionError("base", base, why="only --estimate needs one", hint="give --estimate too")
    from lora_convert.operations import space as operation

    every = as_json or not quiet
    found = operation.space(paths or (".",), plan=plan or as_json, compare=plan or every)
    for path, why in found.passed_over:
        out.problem(f"note: not counted: {path}: {why}")
    if as_json:
        out.object(found.as_json())
    elif not quiet:
        _show(out, found)
        if plan:
            _show_plan(out, found)
    elif plan:
        for step in found.plan:
            out.line(step.command)
    else:
        out.line(str(found.bytes))
    return EXIT_DONE


def _show(out: Output, found: Space) -> None:
    free = "" if found.free is None else f"; {size(found.free)} free"
    several = f"{found.files} files, {found.folders} folders"
    out.line(f"{', '.join(found.paths)}: {size(found.bytes)} ({several}){free}")
    if found.bytes:
        out.line()
        _show_kinds(out, found)
        out.line()
        _show_tree(out, found)
    _show_duplicates(out, found)


def _show_kinds(out: Output, found: Space) -> None:
    from lora_convert.operations.file_kinds import KINDS

    most = max(found.kinds.values())
    rows = [
        (KINDS[kind].title, size(count), _share(count, found.bytes), _bar(count, most))
        for kind, count in found.kinds.items()
    ]
    if not sys.stdout.isatty():
        out.table([(title, taken.rjust(8), share, bar) for title, taken, share, bar in rows])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for style, justify in (("bold", "left"), ("", "right"), ("dim", "right"), ("cyan", "left")):
        table.add_column(style=style, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


def _bar(count: int, most: int) -> str:
    return "█" * round(_BAR * count / most) or "▏"


def _share(count: int, total: int) -> str:
    percent = 100 * count / total
    return f"{percent:3.0f} %" if percent >= 1 else "<1 %".rjust(5)


def _show_tree(out: Output, found: Space) -> None:
    """Runs and other folders with their sizes, and the checkpoints of each run."""
    uses = sorted((*found.runs, *found.elsewhere), key=lambda use: -use.bytes)
    if not sys.stdout.isatty():
        out.table([*_branches(uses)])
        return
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(f"[bold]{size(found.bytes)}", guide_style="dim")
    branch = tree
    for name, taken, kinds in _branches(uses):
        label = Text.assemble(
            (taken.rjust(8), "bold"), f"  {printable(name.strip())}  ", (printable(kinds), "dim")
        )
        if name.startswith(" "):
            branch.add(label)
        else:
            branch = tree.add(label)
    Console(highlight=False).print(tree)


def _branches(uses: Iterable[Use]) -> Iterable[tuple[str, str, str]]:
    """Name, size and largest kinds of each; names of checkpoints stand further in."""
    listed = [*uses]
    for use in listed[:_SHOWN]:
        yield use.path, size(use.bytes).rjust(8), _kinds(use.kinds)
        for one in use.inner[:_SHOWN_INNER]:
            yield f"  {_inside(one.path, use.path)}", size(one.bytes).rjust(8), _kinds(one.kinds)
        yield from _rest(use.inner[_SHOWN_INNER:], "  ")
    yield from _rest(listed[_SHOWN:], "")


def _rest(uses: Iterable[Use], before: str) -> Iterable[tuple[str, str, str]]:
    sizes = [use.bytes for use in uses]
    if sizes:
        yield f"{before}and {len(sizes)} smaller", size(sum(sizes)).rjust(8), ""


def _inside(path: str, folder: str) -> str:
    """A checkpoint's path, seen from its run: some runs are files of a folder that others share."""
    return os.path.relpath(path, folder if os.path.isdir(folder) else os.path.dirname(folder))


def _kinds(kinds: Mapping[str, int]) -> str:
    from lora_convert.operations.file_kinds import KINDS

    shown = [f"{KINDS[kind].title} {size(count)}" for kind, count in kinds.items()]
    return ", ".join(shown[:_SHOWN_KINDS]) + (", …" if len(shown) > _SHOWN_KINDS else "")


def _show_duplicates(out: Output, found: Space) -> None:
    if found.duplicates:
        more = sum(group.frees for group in found.duplicates)
        names = sum(len(group.paths) for group in found.duplicates)
        out.line()
        out.line(
            f"duplicates: {names} files have {len(found.duplicates)} contents, {size(more)} too many"
        )
    if found.not_compared:
        out.note(
            f"note: {size(found.not_compared)} of files that are alike so far were not compared"
        )
    if found.linked:
        out.note(f"note: hard links save {size(found.linked)}")


def _show_plan(out: Output, found: Space) -> None:
    out.line()
    if not found.plan:
        out.line("plan: nothing here would free anything")
    for number, step in enumerate(found.plan, 1):
        out.line(f"{number:2}. frees up to {size(step.frees)}: {step.command}")
        out.line(f"    lost: {step.lost}")
