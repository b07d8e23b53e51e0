"""Pipelines as people read of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.cli._output import Output, size

if TYPE_CHECKING:
    from lora_convert.operations.assembling import Assembled, Assembly


def show_pipeline_plan(out: Output, assembly: Assembly) -> None:
    """What would be written, and what the disk would take."""
    plan = assembly.plan
    cost = assembly.cost()
    if out.json:
        out.object({**plan.as_json(), "cost": cost, "status": "planned"})
        return
    if out.quiet:
        out.line(plan.output)
        return
    out.line(
        f"{plan.opened.checkpoint.path}: {len(plan.adapter.deltas)} modules into {plan.base.name}"
    )
    out.line(f"would write {plan.output} ({size(plan.size)}; the disk takes {size(cost)})")
    for note in plan.notes:
        out.note(f"note: {note}")


def show_assembled(out: Output, assembly: Assembly, assembled: Assembled) -> None:
    """What was written, and how its files came there."""
    if out.json:
        out.object(assembled.as_json())
        return
    if out.quiet:
        out.line(assembled.output)
        return
    plan = assembly.plan
    for note in plan.notes:
        out.note(f"note: {note}")
    if plan.base.source != "option":
        out.note(f"note: base {plan.base.name}, which {plan.base.source} names")
    out.line(f"{assembled.status}: {assembled.output} ({size(plan.size)})")
    if assembled.status == "written":
        ways = ", ".join(f"{count} × {way}" for way, count in sorted(assembled.placed.items()))
        counts = plan.counts
        out.line(
            f"merged: {counts.merged} tensors changed, {counts.untouched} untouched, 0 left out"
        )
        out.line(f"files: {ways}; {size(assembled.written)} written in {assembled.seconds:.1f} s")
