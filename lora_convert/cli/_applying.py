"""A plan shown, or applied and its result shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.errors import EXIT_DONE

if TYPE_CHECKING:
    from lora_convert.cli._output import Output
    from lora_convert.operations.writing import ConversionPlan


def apply(out: Output, plan: ConversionPlan, *, force: bool, no_verify: bool, dry_run: bool) -> int:
    """Show what would be written, or write it; the plan's sources are closed. Returns the exit code."""
    from lora_convert.cli._render import show_plan, show_result

    with plan:
        if dry_run:
            show_plan(out, plan)
        else:
            progress = out.progress("writing", plan.plan.size)
            show_result(out, plan.apply(force=force, verify=not no_verify, progress=progress))
    return EXIT_DONE
