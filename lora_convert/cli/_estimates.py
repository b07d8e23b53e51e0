"""What a batch would need, as people read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.cli._errors import as_json
from lora_convert.cli._output import size
from lora_convert.errors import EXIT_DONE, NotEnoughSpaceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_convert.cli._output import Output
    from lora_convert.operations.estimating import Estimate, OutputNeed


def show_estimates(out: Output, paths: Sequence[str], base: str | None) -> int:
    """An estimate a run; then the error where the disk cannot hold them."""
    from lora_convert.operations.batch import Wanted, plan_batch
    from lora_convert.operations.estimating import check_room, estimates
    from lora_convert.operations.pieces import options_of

    usual = options_of(1.0, "keep", "split", "auto")
    found = estimates(plan_batch(paths or (".",), Wanted(usual, base=base)))
    problem: NotEnoughSpaceError | None = None
    try:
        check_room(found)
    except NotEnoughSpaceError as error:
        problem = error
    for one in found:
        if out.json:
            told = {"error": as_json(problem)} if problem else {}
            out.object({**one.as_json(), **told})
        elif out.quiet:
            out.line(str(one.needed))
        else:
            _show(out, one)
    if problem:
        out.problem("error: " + problem.lines[0])
        for line in problem.lines[1:]:
            out.problem(line)
    return problem.exit_code if problem else EXIT_DONE


def _show(out: Output, found: Estimate) -> None:
    free = "" if found.free is None else f"; {size(found.free)} free"
    out.line(f"{found.run}: {size(found.needed)} for {len(found.outputs)} outputs{free}")
    rows = [
        ("shared by all", size(found.shared).rjust(8), "once"),
        *(_row(one) for one in found.outputs),
    ]
    if found.outputs:
        out.table(rows)
    else:
        out.line("nothing is waiting to be made")


def _row(one: OutputNeed) -> tuple[str, str, str]:
    if one.problem:
        return one.item, "–".rjust(8), one.problem
    shared = f"its own, and {size(one.shared)} shared" if one.shared else "its own"
    return one.item, size(one.own).rjust(8), shared
