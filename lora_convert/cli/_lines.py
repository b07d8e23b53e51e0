"""Results in one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.cli._output import cut, printable, size
from lora_convert.cli._render import worst

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from lora_convert.operations.applying import Result
    from lora_convert.operations.inspect import Inspection
    from lora_convert.operations.writing import ConversionPlan

_SCALES = 3
_WIDEST = 48
"""Characters of the first column; longer names stand out of it."""


def columns(names: Mapping[str, str]) -> dict[str, str]:
    """Names of one width, by the same keys."""
    shown = {key: printable(name) for key, name in names.items()}
    width = min(_WIDEST, max(map(len, shown.values())))
    return {key: name.ljust(width) for key, name in shown.items()}


def inspection_line(found: Inspection) -> str:
    """What a checkpoint holds, in columns of usual widths; or why it cannot be converted."""
    if found.format is None:
        if found.known_as:
            return f"error: this is {found.known_as}, which this version does not read"
        if not found.total:
            return "error: holds no tensors"
        return "error: no known LoRA format explains its names"
    kind = f"{found.format} {found.architecture or 'unknown'}"
    cells = (
        kind.ljust(17),
        f"{found.modules} modules".rjust(12),
        _scales(found).ljust(15),
        size(found.bytes).rjust(8),
        *_problems(found),
    )
    return "  ".join(cells).rstrip()


def _scales(found: Inspection) -> str:
    if not found.scales:
        return "scale not read" if found.scales_not_read else "scale –"
    more = ", …" if len(found.scales) > _SCALES or found.scales_not_read else ""
    assumed = " assumed" if found.scale_source == "assumed" else ""
    return f"scale {', '.join([*found.scales][:_SCALES])}{more}{assumed}"


def _problems(found: Inspection) -> list[str]:
    problems = []
    if found.unexplained:
        problems.append(f"error: {len(found.unexplained)} of {found.total} keys are not explained")
    if len(found.adapters) > 1:
        problems.append(f"{len(found.adapters)} adapters")
    if found.scale_problem:
        problems.append(f"problem: {cut(found.scale_problem)}")
    return problems


def plan_line(plan: ConversionPlan) -> str:
    """What would be written."""
    return (
        f"would write: {plan.destination.path} ({size(plan.plan.size)}), "
        f"{len(plan.adapter.deltas)} modules{_more(plan.losses, plan.notes)}"
    )


def result_line(result: Result) -> str:
    """What was written, and how many losses and notes there are to ask for."""
    fields: dict[str, Any] = result.plan
    proof = f", {worst(result.proof)}" if result.proof else ""
    return (
        f"{result.status}: {result.output} ({size(fields['bytes'])}), {fields['modules']} modules"
        f"{proof}{_more(fields['losses'], fields['notes'])}"
    )


def _more(losses: Sequence[object], notes: Sequence[object]) -> str:
    counted = ((len(losses), "loss", "losses"), (len(notes), "note", "notes"))
    return "".join(f", {n} {one if n == 1 else many}" for n, one, many in counted if n)
