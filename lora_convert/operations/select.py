"""Keep some modules of an adapter, or leave them away."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from lora_convert.errors import OptionError
from lora_convert.operations.editing import AS_IT_WAS, AS_TOLD, Bench, Edited, plan_edit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_convert.adapter import Adapter, Delta
    from lora_convert.operations.editing import Writing
    from lora_convert.operations.reading import Reading
    from lora_convert.operations.writing import ConversionPlan


def plan_select(
    source: str | os.PathLike[str],
    patterns: Sequence[str],
    *,
    drop: bool = False,
    reading: Reading = AS_TOLD,
    writing: Writing = AS_IT_WAS,
) -> ConversionPlan:
    """Work out the adapter in `source` with only those modules that `patterns` name, or without them.

    A pattern names a component, or modules with or without one, and all below; ``*`` stands for anything,
    dots included. Names are those of the file; where it has none such, Diffusers', so that a part of a fused
    layer can be named. OptionError where a pattern names nothing, or nothing is left.
    """
    edit = partial(_selected, patterns=tuple(patterns), drop=drop)
    suffix = "without" if drop else "selected"
    return plan_edit([os.fspath(source)], edit, suffix, reading, writing)


def _selected(bench: Bench, *, patterns: tuple[str, ...], drop: bool) -> Edited:
    (adapter,) = bench.adapters
    if _void(adapter, patterns):
        adapter = bench.in_diffusers_names(adapter)
    void = _void(adapter, patterns)
    if void or not patterns:
        hint = "lora-convert inspect --names FILE lists its names"
        raise OptionError("modules", " ".join(void), why="no module is called so", hint=hint)
    kept = tuple(
        delta for delta in adapter.deltas if any(_names(p, delta) for p in patterns) != drop
    )
    if not kept:
        raise OptionError("modules", " ".join(patterns), why="no module would be left")
    note = f"{len(kept)} of {len(adapter.deltas)} modules are kept"
    return Edited(adapter._replace(deltas=kept), notes=(note,))


def _void(adapter: Adapter, patterns: Sequence[str]) -> list[str]:
    """Patterns that name nothing."""
    return [p for p in patterns if not any(_names(p, delta) for delta in adapter.deltas)]


def _names(pattern: str, delta: Delta) -> bool:
    whole = pattern.removesuffix(".")
    names = (delta.component, delta.module, delta.label)
    return any(fnmatchcase(name, end) for name in names for end in (whole, f"{whole}.*"))
