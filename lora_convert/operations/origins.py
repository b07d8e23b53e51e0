"""Where an adapter came from first: one key of a file's metadata that all later conversions carry on.

It says what the first file was, not what was done since: so a way there and back ends where it began, and
equal inputs give equal files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lora_convert.storage.joined import Joined

if TYPE_CHECKING:
    from lora_convert.header import Header
    from lora_convert.operations.writing import Origin

PROVENANCE = "lora_convert.provenance"


def with_provenance(metadata: Mapping[str, str], origin: Origin) -> Mapping[str, str]:
    """Metadata, and what the first file was: as they say themselves, or else the file they are from.

    As they are where the adapter comes from several files, or from none.
    """
    checkpoint = origin.checkpoint
    checkpoints = checkpoint.checkpoints if isinstance(checkpoint, Joined) else (checkpoint,)
    if PROVENANCE in metadata or origin.format is None or len(checkpoints) != 1:
        return metadata
    first = {
        "format": origin.format,
        "architecture": origin.architecture,
        "header": header_hash(checkpoints[0].header),
    }
    return {**metadata, PROVENANCE: json.dumps(first, separators=(",", ":"))}


def first_origin(metadata: Mapping[str, str]) -> str:
    """The same for people, as far as metadata say it; empty where they do not."""
    try:
        said = json.loads(metadata.get(PROVENANCE, "null"))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    name, model, header = (said.get(key) for key in ("format", "architecture", "header"))
    return f"{name}, {model or 'unknown architecture'}, header {str(header)[:12]}"


def header_hash(header: Header) -> str:
    """SHA-256 of names, dtypes, shapes and metadata; of no data, and not of where it lies."""
    import hashlib

    listed = sorted(header.tensors.items())  # names are unique
    texts = [f"{len(name)}:{name} {one.dtype} {one.shape}\n" for name, one in listed]
    texts += [f"{len(key)}:{key} {value}\0" for key, value in sorted(header.metadata.items())]
    return hashlib.sha256("".join(texts).encode("utf-8", "backslashreplace")).hexdigest()
