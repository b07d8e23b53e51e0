"""What a pipeline was made from: written beside it, and compared when it is to be made again."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

from lora_convert.errors import InputError
from lora_convert.operations.pieces import Given
from lora_convert.storage.documents import read_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.operations.opening import Opened
    from lora_convert.operations.pipeline import PipelinePlan
    from lora_convert.storage.files import SourceFile

METADATA_NAME = "checkpoint_metadata.json"
_STEP = re.compile(r"(?:checkpoint|step)[-_]?(?:\d+-)?(\d+)$", re.IGNORECASE)
_UNINFORMATIVE = re.compile(
    r"(checkpoints?|checkpoint[-_]\d+(-\d+)?|lora_weights|outputs?|unet|model|adapter_model|pytorch_lora_weights)$"
)
"""Names that say nothing of what was trained."""


def provenance(plan: PipelinePlan, *, whole_files: bool = False) -> dict[str, Any]:
    """The document of a pipeline: source, base, formats, scale and counts, and a name for people.

    The source's hash is of its header and of the adapter's tensors; with `whole_files` each file of
    source and base is hashed too. ``fingerprint`` changes when anything does that the weights depend on.
    """
    from lora_convert import __version__

    opened, detection = plan.opened, plan.opened.detection
    step = step_of(opened.checkpoint.path)
    source: dict[str, Any] = {
        "path": os.path.abspath(opened.checkpoint.path),
        "sha256": _adapter_hash(opened),
    }
    base: dict[str, Any] = {
        "name": plan.base.name,
        "path": os.path.abspath(plan.base.path),
        "from": plan.base.source,
    }
    if whole_files:
        source["files"] = _hashes(opened.checkpoint.files)
        base["files"] = _hashes(plan.joined.files[len(opened.checkpoint.files) :])
    weights = [piece for piece in plan.pieces if piece.content.name.endswith(".safetensors")]
    document = {
        "display_name": display_name(opened.checkpoint.path, step),
        "description": f"{plan.base.name} with {os.path.basename(source['path'])} merged into it",
        "step": step,
        "source": source,
        "base": base,
        "format": detection.format,
        "architecture": detection.architecture,
        "scale": {
            "factors": sorted({delta.scale.value for delta in plan.adapter.deltas}),
            "source": sorted({delta.scale_source for delta in plan.adapter.deltas}),
            "times": plan.options.scale,
        },
        "counts": {
            "modules": len(plan.adapter.deltas),
            "merged": plan.counts.merged,
            "untouched": plan.counts.untouched,
            "own": plan.counts.own,
            "unexplained": len(detection.unexplained),
        },
        "dtype": plan.options.dtype or "keep",
        "layout": plan.options.layout,
        "files": {piece.content.name: piece.content.size for piece in weights},
        "lora_convert": __version__,
    }
    return {**document, "fingerprint": fingerprint(plan, source["sha256"])}


def fingerprint(plan: PipelinePlan, adapter_hash: str) -> str:
    """A hash of all that the weights of a pipeline depend on, and of nothing else."""
    deltas = [
        (delta.component, delta.module, delta.algorithm, delta.scale.value)
        for delta in plan.adapter.deltas
    ]
    said = {
        "adapter": adapter_hash,
        "deltas": deltas,
        "scale": plan.options.scale,
        "dtype": plan.options.dtype or "keep",
        "layout": plan.options.layout,
        "base": _states(plan),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _states(plan: PipelinePlan) -> list[Any]:
    """Name, size and time of each file of the base: read in no time, and changed when it is."""
    files = {piece.content.path for piece in plan.pieces if isinstance(piece.content, Given)}
    own = len(plan.opened.checkpoint.files)
    files |= {file.path for file in plan.joined.files[0 if plan.counts.own else own :]}
    states = []
    for path in sorted(files):
        status = os.stat(path)
        states.append([os.path.basename(path), status.st_size, status.st_mtime_ns])
    return sorted(states)


def _adapter_hash(opened: Opened) -> str:
    """SHA-256 of the names, places and bytes of the adapter's tensors."""
    from lora_convert.storage.probe import blocks

    digest = hashlib.sha256()
    header = opened.checkpoint.header
    digest.update(json.dumps(dict(sorted(header.metadata.items()))).encode())
    for entry in opened.gathered():
        for role, tensor in sorted(entry.tensors.items()):
            digest.update(
                f"{entry.component}/{entry.module}/{role}/{tensor.dtype}/{tensor.shape}".encode()
            )
            for block in blocks(tensor, opened.checkpoint.read):
                digest.update(block)
        digest.update(json.dumps(sorted(entry.numbers.items())).encode())
    return digest.hexdigest()


def _hashes(files: list[SourceFile]) -> dict[str, str]:
    from lora_convert.storage.hashes import hash_of

    return {os.path.basename(file.path): hash_of(file) for file in files}


def read_provenance(folder: str) -> Mapping[str, Any]:
    """The document of a pipeline that was made before; empty where there is none, or none of ours."""
    try:
        found = read_document(os.path.join(folder, METADATA_NAME))
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def step_of(path: str) -> int | None:
    """The step that a checkpoint's name, or its folder's, gives."""
    for name in (os.path.basename(path), os.path.basename(os.path.dirname(os.path.abspath(path)))):
        found = _STEP.search(os.path.splitext(name)[0] if "." in name else name)
        if found:
            return int(found[1])
    return None


def display_name(path: str, step: int | None) -> str:
    """A name for people: that of the run, and the step.

    >>> display_name("outputs/casual-shoes/checkpoints/checkpoint-500/model.safetensors", 500)
    'Casual Shoes (Step 500)'
    """
    parts = os.path.splitext(os.path.abspath(path))[0].split(os.sep)
    name = next(
        (part for part in reversed(parts) if part and not _UNINFORMATIVE.match(part)), "LoRA"
    )
    words = re.split(r"[-_\s]+", re.sub(r"[-_](step)?0*\d+$", "", name))
    title = " ".join(word[:1].upper() + word[1:] for word in words if word) or name
    return title if step is None else f"{title} (Step {step})"
