"""lora-convert trash."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from lora_convert.cli import _options
from lora_convert.cli._asking import agreed, yes
from lora_convert.cli._output import Output, printable, size
from lora_convert.errors import EXIT_DONE

if TYPE_CHECKING:
    from lora_convert.operations.trashing import Trashed

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


@click.group()
def trash() -> None:
    """What was taken from a run. It lies in RUN/.trash, and its space is free once that is emptied."""


@trash.command("list", short_help="List what can be had back.")
@click.argument("run", type=click.Path())
@_options.output
def list_(run: str, as_json: bool, quiet: bool) -> int:
    """List what is in the trash of RUN, the oldest first. Sizes are what emptying frees."""
    from lora_convert.operations.trashing import trash_of, trashed

    out = Output(json=as_json, quiet=quiet)
    found = trashed(run)
    for one in found if as_json or quiet else ():
        if as_json:
            out.object(one.as_json())
        else:
            out.line(one.item.id)
    if found and not (as_json or quiet):
        out.table(map(_cells, found), header=("id", "age", "size", "what", "why"))
    for path in trash_of(run).foreign():
        out.problem(f"note: {path}: nothing that was put there, or torn; it is left alone")
    if not found:
        out.note("nothing in the trash")
    return EXIT_DONE


def _cells(one: Trashed) -> tuple[str, ...]:
    names = [printable(name) for name in one.item.present.values()]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    what = f"{names[0]}{more}"
    return one.item.id, _age(one.item.when), size(one.freed), what, printable(one.item.why)


def _age(when: float) -> str:
    seconds = max(time.time() - when, 0)
    unit, length = next((row for row in _UNITS if seconds >= row[1]), _UNITS[-1])
    count = int(seconds // length)
    return f"{count} {unit}{'' if count == 1 else 's'}"


@trash.command(short_help="Move back what was taken last, or an item.")
@click.argument("run", type=click.Path())
@click.argument("id", required=False)
@_options.output
def undo(run: str, id: str | None, as_json: bool, quiet: bool) -> int:
    """Move ID back to where it was in RUN, or what was taken last. Nothing is ever replaced by it."""
    from lora_convert.operations.trashing import undo as move_back

    out = Output(json=as_json, quiet=quiet)
    item = move_back(run, id)
    if item is None:
        out.note("nothing in the trash")
    elif as_json:
        names = [*item.present.values()]
        out.object({"id": item.id, "status": "undone", "names": names})
    else:
        for name in item.present.values():
            out.line(name if quiet else f"back: {name}")
    return EXIT_DONE


@trash.command(short_help="Remove for good.")
@click.argument("run", type=click.Path())
@click.argument("ids", nargs=-1, metavar="[ID]...")
@yes
@_options.output
def empty(run: str, ids: tuple[str, ...], yes: bool, as_json: bool, quiet: bool) -> int:
    """Remove all, or each ID, from the trash of RUN for good. Asks before, unless --yes is given."""
    from lora_convert.errors import OptionError
    from lora_convert.operations.trashing import empty as remove
    from lora_convert.operations.trashing import trashed
    from lora_convert.storage.footprint import freed_by

    out = Output(json=as_json, quiet=quiet)
    there = {one.item.id: one for one in trashed(run)}
    for id in ids:
        if id not in there:
            raise OptionError("ID", id, choices=[*there])
    chosen = [there[id] for id in dict.fromkeys(ids or there)]
    freed = freed_by(thing for one in chosen for thing in one.things)
    if not chosen:
        remove(run, ())
        out.note("nothing in the trash")
    elif agreed(f"Remove {len(chosen)} items, {size(freed)}, for good?", yes=yes):
        remove(run, [one.item.id for one in chosen])
    else:
        return EXIT_DONE
    if as_json:
        out.object({"removed": [one.item.id for one in chosen], "freed": freed})
    elif chosen:
        out.line(f"removed: {len(chosen)} items, {size(freed)} free")
    return EXIT_DONE
