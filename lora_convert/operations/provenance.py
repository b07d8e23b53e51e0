"""What a pipeline was made from: written beside it, and compared when it is to be made again."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import InputError, called
from lora_convert.operations.pieces import Given
from lora_convert.operations.sharing import METADATA_NAME
from lora_convert.storage.documents import read_document
from lora_convert.storage.recipes import status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lora_convert.operations.opening import Opened
    from lora_convert.operations.pipeline import PipelinePlan

_WEIGHTS = ".safetensors"
_STEP = re.compile(r"(?:checkpoint|step)[-_]?(?:\d+-)?(\d+)$", re.IGNORECASE)
_UNINFORMATIVE = re.compile(
    r"(checkpoints?|checkpoint[-_]\d+(-\d+)?|lora_weights|outputs?|unet|model|adapter_model|pytorch_lora_weights)$"
)
"""Names that say nothing of what was trained."""


class Told(NamedTuple):
    """What a run knows of its checkpoint, and the checkpoint's own files do not say."""

    step: int | None = None
    loss: float | None = None


def provenance(
    plan: PipelinePlan,
    told: Told,
    hashes: Callable[[str], str] | None = None,
) -> dict[str, Any]:
    """The document of a pipeline: source, base, formats, scale and counts, and a name for people.

    The source's hash is of its header and of the adapter's tensors; where `hashes` is given each file
    of source and base has its own too. ``fingerprint`` changes when anything does that the weights
    depend on.
    """
    from lora_convert import __version__

    opened, detection = plan.opened, plan.opened.detection
    step = step_of(opened.checkpoint.path) if told.step is None else told.step
    source: dict[str, Any] = {
        "path": called(os.path.abspath(opened.checkpoint.path)),
        "sha256": _adapter_hash(opened),
    }
    base: dict[str, Any] = {
        "name": plan.base.name,
        "path": os.path.abspath(plan.base.path),
        "from": plan.base.source,
        "revision": plan.base.revision,
    }
    if hashes:
        _, theirs = _files(plan)
        source["files"] = {
            os.path.basename(file.path): file.digest or hashes(file.path)
            for file in plan.opened.checkpoint.files
        }
        base["files"] = {os.path.relpath(path, plan.base.path): hashes(path) for path in theirs}
    weights = [piece for piece in plan.pieces if piece.content.name.endswith(_WEIGHTS)]
    document = {
        "display_name": display_name(called(opened.checkpoint.path), step),
        "description": f"{plan.base.name} with {os.path.basename(source['path'])} merged into it",
        "step": step,
        "loss": told.loss,
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
        "documents": [p.content.name for p in plan.pieces if not p.content.name.endswith(_WEIGHTS)],
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
    own, theirs = _files(plan)
    paths = (*theirs, *(own if plan.counts.own else ()))
    return sorted([os.path.basename(path), *status_of(path)] for path in paths)


def _files(plan: PipelinePlan) -> tuple[list[str], list[str]]:
    """Paths of the source's files, and of those of the base that are read."""
    own = len(plan.opened.checkpoint.files)
    paths = [file.path for file in plan.joined.files]
    given = {piece.content.path for piece in plan.pieces if isinstance(piece.content, Given)}
    return paths[:own], sorted(given.union(paths[own:]))


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


def read_provenance(folder: str) -> Mapping[str, Any]:
    """The document of a pipeline that was made before; empty where there is none, or none of ours."""
    try:
        found = read_document(os.path.join(folder, METADATA_NAME))
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def files_of(document: Mapping[str, Any]) -> set[str]:
    """Names of all files that a document's pipeline was made of, as far as it says."""
    weights, documents = document.get("files"), document.get("documents")
    named = [*(weights if isinstance(weights, dict) else ()), METADATA_NAME]
    named += documents if isinstance(documents, list) else []
    return {name for name in named if isinstance(name, str)}


def is_whole(folder: str, document: Mapping[str, Any], made_of: str) -> bool:
    """Whether a pipeline, which `document` was found in, was made of the same and lacks nothing.

    Documents may have been edited since, so their sizes say nothing.
    """
    weights = document.get("files")
    if document.get("fingerprint") != made_of or not isinstance(weights, dict):
        return False
    paths = {name: os.path.join(folder, *name.split("/")) for name in files_of(document)}
    return all(
        os.path.isfile(path) and weights.get(name) in {None, os.path.getsize(path)}
        for name, path in paths.items()
    )


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
