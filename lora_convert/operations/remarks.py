"""What a conversion says of its source and target, beside what it does."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from lora_convert.conversion.read import HASHES
from lora_convert.conversion.spelling import UNKNOWN_COMPONENT
from lora_convert.planning import Loss

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_convert.adapter import Adapter
    from lora_convert.conversion.gather import Gathered
    from lora_convert.formats import Format
    from lora_convert.operations.opening import Opened

_SHOWN = 8
"""Things left out that a note names."""
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.")
"""In the name of one file of several (huggingface_hub 2.4, serialization/_base.py)."""


def scale_losses(adapter: Adapter) -> list[Loss]:
    """What it means that nothing gave some modules' alpha."""
    assumed = sum(delta.scale_source == "assumed" for delta in adapter.deltas)
    if not assumed:
        return []
    return [
        Loss(
            "scale assumed",
            f"{assumed} modules: nothing gives their alpha; alpha = rank (scale 1) was assumed",
            assumed,
        )
    ]


def base_loss(kind: str, adapter: Adapter) -> Loss:
    """What it means that an initialisation changed the base."""
    return Loss(
        "changed base",
        f"{kind} changed the base when training began, and the adapter is relative to that",
        len(adapter.deltas),
    )


def notes_on_alphas(gathered: Iterable[Gathered]) -> list[str]:
    """Alphas that mean nothing, and are left out."""
    void = [entry for entry in gathered if entry.void]
    if not void:
        return []
    names = " and ".join(sorted({entry.algorithm for entry in void}))
    return [f"{len(void)} modules: an alpha means nothing for {names}, and was left out"]


def notes_on_reading(opened: Opened, adapter: Adapter, wanted: str | None) -> list[str]:
    """What a source held that is not in the adapter, and what was supposed."""
    notes = []
    hashes = [key for key in HASHES if key in opened.checkpoint.header.metadata]
    if hashes:
        notes.append(f"{', '.join(hashes)}: of the old bytes, and left out")
    if adapter.base:
        notes.append(
            f"{adapter.base} frozen base tensors are not part of the adapter and were left out"
        )
    if opened.detection.embeddings:
        listed = ", ".join(opened.detection.embeddings[:_SHOWN])
        notes.append(f"bundled embeddings are not part of the adapter and were left out: {listed}")
    rest = opened.checkpoint.header.rest
    if rest:
        listed = ", ".join(_with_value(name, value) for name, value in [*rest.items()][:_SHOWN])
        more = f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else ""
        notes.append(f"beside the weights in the file, and not written: {listed}{more}")
    shard = _SHARD.search(os.path.basename(opened.checkpoint.path))
    if shard and int(shard[2]) > 1:
        notes.append(
            f"this is file {int(shard[1])} of {int(shard[2])}: its index, or the folder, gives all modules"
        )
    if wanted is not None:
        notes.append(f"adapter {wanted!r} only")
    if opened.passed_over:
        names = ", ".join(os.path.basename(name) for name in opened.passed_over[:5])
        notes.append(
            f"{len(opened.passed_over)} other weight files beside it were not read: {names}"
        )
    if opened.detection.architecture is None and any(
        d.component == UNKNOWN_COMPONENT for d in adapter.deltas
    ):
        notes.append(
            f"unknown architecture: names are kept, as {UNKNOWN_COMPONENT} (--component says otherwise)"
        )
    return notes


def _with_value(name: str, value: object) -> str:
    """A place in a payload and what is there, where that is short."""
    return f"{name} ({value})" if isinstance(value, (str, int, float)) else name


def reader_notes(fitted: Adapter, format_: Format) -> list[str]:
    """What a format's readers need to be told."""
    notes = [format_.advice[name] for name in fitted.components if name in format_.advice]
    if format_.namespace == "model" and "text_encoder" in fitted.components:
        notes.append(
            "text encoder names are those of transformers 5; transformers 4 wants text_model. before them"
        )
    return notes
