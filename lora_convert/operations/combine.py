"""Several adapters as one: the sum of their ΔWs, each so many times, or what TIES and DARE make of them."""

from __future__ import annotations

from functools import partial
from math import isfinite
from typing import TYPE_CHECKING

from lora_convert.errors import OptionError
from lora_convert.operations.approximating import measured_errors, ranks_of
from lora_convert.operations.editing import AS_IT_WAS, AS_TOLD, Bench, Edited, plan_edit
from lora_convert.operations.summing import Combination, Member, summed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_convert.operations.editing import Writing
    from lora_convert.operations.merging import Added
    from lora_convert.operations.reading import Reading
    from lora_convert.operations.writing import ConversionPlan


def plan_combine(
    added: Sequence[Added],
    how: Combination,
    *,
    reading: Reading = AS_TOLD,
    writing: Writing = AS_IT_WAS,
) -> ConversionPlan:
    """Work out one adapter that acts like all of `added` together, each as many times as it says.

    Formats, ranks and algorithms may differ, architectures not. Errors are those of `summed`.
    """
    how.check()
    if not all(isfinite(one.strength) for one in added):
        raise OptionError("weight", [one.strength for one in added])
    edit = partial(_combined, strengths=[one.strength for one in added], how=how)
    return plan_edit([one.path for one in added], edit, "combined", reading, writing)


def _combined(bench: Bench, *, strengths: Sequence[float], how: Combination) -> Edited:
    groups: dict[tuple[str, str], list[Member]] = {}
    for adapter, strength in zip(bench.adapters, strengths, strict=True):
        for delta in adapter.deltas if strength else ():
            place = delta.component, delta.module
            groups.setdefault(place, []).append(Member(delta, strength))
    if not groups:
        raise OptionError("weight", 0.0, why="nothing would be left")
    first = bench.adapters[0]
    metadata = first.metadata if len(bench.adapters) == 1 else {}
    deltas = tuple(summed(members, how, bench.architecture) for members in groups.values())
    found = first._replace(deltas=deltas, base=0, metadata=metadata)
    fields = {
        "adapters": [
            {"path": path, "weight": strength}
            for path, strength in zip(bench.paths, strengths, strict=True)
        ],
        "method": how.method,
        "ranks": ranks_of(found),
    }
    return Edited(found, fields=fields, measured=partial(measured_errors, found, bench.read))
