"""What is wrong with the weights themselves: read on request only."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.conversion.gather import Gathered, gather
from lora_convert.conversion.spelling import BASE
from lora_convert.storage.probe import blocks
from lora_convert.tensors.dtypes import FLOATS
from lora_convert.tensors.norms import finite_and_zero
from lora_convert.tensors.source import Source

if TYPE_CHECKING:
    from lora_convert.conversion.detect import Detection
    from lora_convert.storage.checkpoint import Checkpoint


_HASHES = ("modelspec.hash_sha256", "sshs_model_hash")


class Health(NamedTuple):
    """Findings, by key or module. Empty everywhere is healthy."""

    non_finite: tuple[str, ...]
    """Keys with NaN or infinite elements."""
    zero_up: tuple[str, ...]
    """Modules whose up factor is all zeros: they do nothing."""
    incomplete: tuple[str, ...]
    """Modules that lack a tensor, with what is missing."""
    duplicates: tuple[str, ...]
    """Keys that name a tensor another key names too, or hold the same non-zero bytes as another up factor."""
    false_hashes: tuple[str, ...]
    """Metadata that give a hash of the weights which they have not: edited since, or converted."""

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not any(self)

    def as_json(self) -> dict[str, Any]:
        """Lists by finding."""
        return {name: list(found) for name, found in self._asdict().items()}


def examine(checkpoint: Checkpoint, detection: Detection) -> Health:
    """Read every weight of an adapter, or of the whole file where none was recognised.

    CorruptCheckpointError where a container's own checksums show damage anywhere in it.
    """
    checkpoint.check_all_sums()
    non_finite, zero = [], set()
    seen: dict[bytes, str] = {}
    duplicates = _doubles(detection)
    for key, source in checkpoint.header.tensors.items():
        reading = detection.readings.get(key)
        if source.dtype not in FLOATS or (reading is not None and reading.role == BASE):
            continue
        finite, empty = finite_and_zero(source, checkpoint.read)
        if not finite:
            non_finite.append(key)
        if reading is not None and reading.role == "up":
            digest = hashlib.sha256()
            for block in blocks(source, checkpoint.read):
                digest.update(block)
            if empty:
                zero.add((reading.component, reading.module, reading.adapter))
            elif digest.digest() in seen:
                duplicates.append(f"{key} = {seen[digest.digest()]}")
            seen.setdefault(digest.digest(), key)
    gathered = gather(checkpoint.header, detection, lenient=True) if detection.format else ()
    zero_up = [_label(e) for e in gathered if (e.component, e.module, e.adapter) in zero]
    incomplete = [
        f"{_label(entry)}: no {' nor '.join(entry.missing)}" for entry in gathered if entry.missing
    ]
    return Health(
        tuple(non_finite),
        tuple(zero_up),
        tuple(incomplete),
        tuple(duplicates),
        tuple(_false_hashes(checkpoint)),
    )


def _false_hashes(checkpoint: Checkpoint) -> list[str]:
    """Hashes of all bytes after the header, as kohya sd-scripts and ModelSpec define them."""
    metadata = checkpoint.header.metadata
    declared = [name for name in _HASHES if metadata.get(name)]
    sources = [t for t in checkpoint.header.tensors.values() if isinstance(t, Source)]
    if not declared or len(checkpoint.files) != 1 or checkpoint.integrity.total or not sources:
        return []
    file = checkpoint.files[0]
    start = min(source.start for source in sources)
    digest = hashlib.sha256()
    for block in file.blocks(start, file.size - start):
        digest.update(block)
    found = digest.hexdigest()
    return [name for name in declared if metadata[name].removeprefix("0x").lower() != found]


def _label(entry: Gathered) -> str:
    return f"{entry.component}.{entry.module}" if entry.component else entry.module


def _doubles(detection: Detection) -> list[str]:
    seen: dict[tuple[str, str, str, str], str] = {}
    doubles = []
    for key, reading in detection.readings.items():
        place = (reading.component, reading.module, reading.adapter, reading.role)
        if reading.role != BASE and place in seen:
            doubles.append(f"{key} = {seen[place]}")
        seen.setdefault(place, key)
    return doubles
