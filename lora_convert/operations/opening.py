"""From a path to an open checkpoint whose header has been read."""

from __future__ import annotations

import os
from typing import NamedTuple

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.detect import Detection, detect
from lora_convert.errors import (
    AmbiguousCheckpointError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    UnknownArchitectureError,
)
from lora_convert.formats import COMPONENTS
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.folders import (
    WeightFiles,
    parts_of,
    ranked_weights,
    subfolders_with_weights,
    weight_files,
)


class Opened(NamedTuple):
    """A checkpoint, open, and what its header says."""

    checkpoint: Checkpoint
    detection: Detection
    passed_over: tuple[str, ...]
    """Other weight files of the folder, which were not read."""


def open_adapter(
    path: str, *, architecture: str | None = None, component: str | None = None, without: str = ""
) -> Opened:
    """Open a file, or the checkpoint that a folder holds.

    In a folder, `without` names a file that is no source as long as there is another. The best-named
    file that holds an adapter is taken; two of one rank are an AmbiguousCheckpointError.
    """
    if architecture is not None and architecture not in ARCHITECTURES:
        raise UnknownArchitectureError(
            f"there is no architecture {architecture!r}", candidates=tuple(ARCHITECTURES)
        )
    if not os.path.lexists(path):
        raise CheckpointNotFoundError(path)
    if not os.path.isdir(path):
        checkpoint = Checkpoint(weight_files(path))
        return Opened(
            checkpoint,
            detect(checkpoint.header, architecture=architecture, component=component),
            (),
        )
    return _open_folder(path, architecture, component, without)


def _open_folder(
    folder: str, architecture: str | None, component: str | None, without: str
) -> Opened:
    ranked = ranked_weights(folder, without=without)
    everything = [weights.path for rank in ranked for weights in rank]
    unrecognised: Opened | None = None
    for rank in ranked:
        opened = [
            o for w in rank if (o := _attempt(w, architecture, component, alone=len(rank) == 1))
        ]
        adapters = [o for o in opened if o.detection.format is not None]
        if len(adapters) > 1:
            names = [os.path.basename(o.checkpoint.path) for o in adapters]
            for one in opened:
                one.checkpoint.close()
            raise AmbiguousCheckpointError(
                f"{folder}: {len(adapters)} files hold an adapter",
                choices=names,
                hint="give the file instead of the folder",
            )
        for one in opened:
            if one not in adapters and (one is not opened[0] or unrecognised):
                one.checkpoint.close()
        if adapters:
            others = tuple(name for name in everything if name != adapters[0].checkpoint.path)
            return adapters[0]._replace(passed_over=others)
        unrecognised = unrecognised or (opened[0] if opened else None)
    inner = _open_inner(folder, architecture, component)
    if inner is not None:
        return inner
    if unrecognised is not None:
        return unrecognised
    if without and os.path.exists(os.path.join(folder, without)):
        return open_adapter(
            os.path.join(folder, without), architecture=architecture, component=component
        )
    raise CheckpointNotFoundError(
        folder,
        f"{folder}: holds no safetensors weights",
        hint="give a file, or the folder of one checkpoint",
    )


def _attempt(
    weights: WeightFiles, architecture: str | None, component: str | None, *, alone: bool
) -> Opened | None:
    """Open one candidate of a folder; a broken one among several is passed over."""
    try:
        checkpoint = Checkpoint(weights)
    except CorruptCheckpointError:
        if alone:
            raise
        return None
    return Opened(
        checkpoint, detect(checkpoint.header, architecture=architecture, component=component), ()
    )


def _open_inner(folder: str, architecture: str | None, component: str | None) -> Opened | None:
    """A folder with one subfolder a component, or with one subfolder that holds an adapter."""
    parts = parts_of(folder, COMPONENTS)
    if parts is not None:
        checkpoint = Checkpoint(parts)
        return Opened(checkpoint, detect(checkpoint.header, architecture=architecture), ())
    inner = subfolders_with_weights(folder)
    if len(inner) > 1:
        raise AmbiguousCheckpointError(
            f"{folder}: {len(inner)} subfolders hold weights",
            choices=[os.path.basename(name) for name in inner],
            hint=f"give one of them: {inner[0]}",
        )
    return open_adapter(inner[0], architecture=architecture, component=component) if inner else None
