"""Say why a header cannot be converted, before anything is read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lora_convert.algorithms import ALGORITHMS, FOREIGN
from lora_convert.architectures import ARCHITECTURES, fill, find
from lora_convert.conversion.spelling import ADAPTER_WORDS
from lora_convert.errors import (
    AmbiguousCheckpointError,
    UnexplainedKeysError,
    UnknownArchitectureError,
    UnknownFormatError,
)
from lora_convert.formats import FORMATS, Format

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_convert.adapter import Namespace
    from lora_convert.architectures import Architecture
    from lora_convert.conversion.detect import Detection
    from lora_convert.operations.opening import Opened


def check_recognised(opened: Opened, format_: Format | None = None) -> None:
    """Raise the RecognitionError that says why a header cannot be converted (to `format_`), if any."""
    detection, checkpoint = opened.detection, opened.checkpoint
    keys = tuple(checkpoint.header.tensors)
    if detection.format is None:
        raise UnknownFormatError(checkpoint.path, known_as=detection.known_as, examples=keys)
    if detection.foreign:
        raise _foreign(detection, checkpoint.path, len(keys))
    flat = FORMATS[detection.format].separator == "_"
    if detection.architecture is None and flat:
        raise UnknownArchitectureError(
            f"{checkpoint.path}: {detection.format} names of no known architecture, for example {keys[0]!r}",
            candidates=tuple(ARCHITECTURES),
            why="flattened names can be read only against an architecture's module list",
        )
    if detection.unexplained:
        raise UnexplainedKeysError(
            checkpoint.path,
            detection.unexplained,
            len(keys),
            why=_mixed(detection)
            or _too_many(detection)
            or _saved_whole(detection)
            or _nearest(detection),
        )
    if format_ is None:
        return
    if detection.architecture is None and format_.separator == "_":
        listed = ", ".join(c.architecture or "an unknown one" for c in detection.candidates)
        raise UnknownArchitectureError(
            f"{checkpoint.path}: the names fit {listed}; {format_.title} needs to know which",
            candidates=[c.architecture or "" for c in detection.candidates],
        )
    if not _keeps_names(detection, format_):
        check_told(opened, f"{format_.title} has other names for each")


def check_told(opened: Opened, why: str) -> None:
    """Raise AmbiguousCheckpointError where nothing tells of which architecture a header is.

    `why` says what hangs on it.
    """
    detection = opened.detection
    if detection.ambiguous:
        choices = (detection.architecture or "", *detection.rivals)
        raise AmbiguousCheckpointError(
            f"{opened.checkpoint.path}: names and shapes fit {' and '.join(choices)} alike; {why}",
            choices=choices,
            hint="name it with --architecture",
        )


def _keeps_names(detection: Detection, format_: Format) -> bool:
    """Whether modules are called the same in a format, whichever of the architectures they are of."""
    modules = {(reading.component, reading.module) for reading in detection.readings.values()}
    return all(
        module in _named(ARCHITECTURES[name], component, module, format_.namespace_for(name))
        for name in filter(None, (detection.architecture, *detection.rivals))
        for component, module in modules
    )


def _named(
    architecture: Architecture, component: str, module: str, namespace: Namespace
) -> Iterable[str]:
    """What a namespace calls a module: several names where it has its parts apart."""
    entry, digits = find(architecture, module, component)
    if entry is None:
        return ()
    return (fill(name, entry.wildcards(digits)) for name in entry.row.names(namespace))


def _foreign(detection: Detection, path: str, total: int) -> UnexplainedKeysError:
    """Why algorithms that are known by name only are not converted, and what to do instead."""
    names = sorted({r.foreign for r in detection.foreign.values() if r.foreign})
    known = [FOREIGN[name] for name in names if name in FOREIGN]
    why = [f"{one.title}: {one.why}" for one in known]
    why += [
        f"{ALGORITHMS[name].short}: no tool reads it under {detection.format} names"
        for name in names
        if name in ALGORITHMS
    ]
    hint = known[0].hint if known else "lora-convert formats shows which formats hold it"
    return UnexplainedKeysError(path, detection.unexplained, total, why="; ".join(why), hint=hint)


def _mixed(detection: Detection) -> str:
    """That some keys are in another format's names, which cannot be read with the first."""
    counted = Counter(detection.others.values())
    listed = " and ".join(f"{count} are {name}'s" for name, count in counted.items())
    return f"two spellings in one file: {listed}, the others {detection.format}'s" if listed else ""


def _too_many(detection: Detection) -> str:
    """That modules are numbered, and some numbers are none of the model's."""
    if FORMATS[detection.format or ""].separator != ":" or detection.architecture is None:
        return ""
    parts = ARCHITECTURES[detection.architecture].components
    listed = " and ".join(f"{len(part.walk)} of its {part.name}" for part in parts)
    return f"modules are numbered, and the order is known of {listed} alone"


def _saved_whole(detection: Detection) -> str:
    """That what is left are whole weights: PEFT saves modules_to_save without a word of their own."""
    ends, words = (".weight", ".bias"), ADAPTER_WORDS
    plain = (k.endswith(ends) and not any(w in k for w in words) for k in detection.unexplained)
    found = FOREIGN["modules_to_save"]
    return f"they may be {found.title}: {found.why}; {found.hint}" if all(plain) else ""


def _nearest(detection: Detection) -> str:
    from difflib import get_close_matches

    near = get_close_matches(detection.unexplained[0], list(detection.readings), n=1, cutoff=0.6)
    return f"the nearest known key is {near[0]!r}" if near else ""
