"""The frozen weights in a file that holds a whole wrapped model, by the names they had before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.conversion.spelling import BASE, unwrapped
from lora_convert.formats import FORMATS

if TYPE_CHECKING:
    from lora_convert.conversion.detect import Detection
    from lora_convert.header import Header
    from lora_convert.tensors.expr import Stored


def base_weights(header: Header, detection: Detection) -> dict[str, dict[str, Stored]]:
    """Tensors by component and by the model's own names; nothing where the file holds only an adapter.

    Names that do not tell their component belong to the adapter's own, which such a file has one of.
    """
    components = {r.component for r in detection.readings.values() if r.component}
    only = components.pop() if len(components) == 1 else ""
    found: dict[str, dict[str, Stored]] = {}
    prefixes = _prefixes(detection)
    for key, reading in detection.readings.items():
        if reading.role == BASE:
            name = unwrapped(key).replace(".base_layer.", ".")
            start, component = next(pair for pair in prefixes if name.startswith(pair[0]))
            found.setdefault(component or only, {})[name.removeprefix(start)] = header.tensors[key]
    return found


def _prefixes(detection: Detection) -> list[tuple[str, str]]:
    """What may stand before a model's own names, longest first, and the component it tells."""
    format_ = FORMATS[detection.format or ""]
    named = [
        (prefix, component)
        for component, prefixes in format_.prefixes_for(detection.architecture).items()
        for prefix in prefixes
    ]
    shared = [(prefix, "") for prefix in (*format_.shared_prefixes, "")]
    return sorted([*named, *shared], key=lambda pair: -len(pair[0]))
