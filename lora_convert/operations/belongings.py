"""What belongs to a checkpoint of a run: what goes where it goes, and what training goes on from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lora_convert.formats import FORMATS
from lora_convert.operations.destination import place_of, stem_of
from lora_convert.operations.run_layouts import layout_of
from lora_convert.operations.run_listing import parts_of
from lora_convert.operations.sharing import LORAS, PIPELINES
from lora_convert.storage.compacted import adapter_names, recipe_of
from lora_convert.storage.folders import SUFFIXES, is_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.operations.runs import Run, RunCheckpoint

_PICKLED = (*SUFFIXES[1:], ".pkl")
"""What trainers' states are kept in; a ``scheduler_config.json`` is part of a pipeline."""
_STATE_FOLDER = "optimizer"
"""Beginning of the names of folders that hold a state and nothing else (Accelerate's, OneTrainer's)."""


def weights_of(one: RunCheckpoint) -> list[str]:
    """The paths of a checkpoint: its folder, its file, or what that was compacted to."""
    if os.path.lexists(one.path) or one.kind != "file":
        return [one.path]
    return [
        path for path in (recipe_of(one.path), *adapter_names(one.path)) if os.path.lexists(path)
    ]


def made_of(run: Run, one: RunCheckpoint) -> list[str]:
    """The pipeline, and the LoRA files, that a batch made of a checkpoint and named after it."""
    stem = stem_of(one.name)
    folder = os.path.join(run.path, LORAS)
    loras = (place_of(stem, format_, folder) for format_ in FORMATS.values())
    found = dict.fromkeys([os.path.join(run.path, PIPELINES, stem), *loras])
    return [path for path in found if os.path.lexists(path)]


def states_of(run: Run, one: RunCheckpoint) -> list[str]:
    """What training goes on from, in a checkpoint's folder or beside it."""
    inside = [*_states_in(one.path)] if one.kind != "file" else []
    return [*inside, *beside(run, one.path)]


def states_at_the_end(run: Run) -> list[str]:
    """What training goes on from that belongs to no checkpoint: beside the last weights, or in the run."""
    found = beside(run, run.final) if run.final else []
    if run.address == run.path and not layout_of(run.tool).shared:
        with os.scandir(run.path) as entries:
            found += [entry.path for entry in entries if _is_state_file(entry)]
    return found


def beside(run: Run, path: str) -> list[str]:
    """The folder that the tool keeps beside a checkpoint to go on from, where there is one."""
    return [folder for folder in parts_of(run, path)[1:] if os.path.lexists(folder)]


def _states_in(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if _is_state_file(entry):
            yield entry.path
        elif entry.is_dir(follow_symlinks=False):
            whole = entry.name.startswith(_STATE_FOLDER)
            yield from [entry.path] if whole else _states_in(entry.path)


def _is_state_file(entry: os.DirEntry[str]) -> bool:
    named = is_state(entry.name) and entry.name.endswith(_PICKLED)
    return named and entry.is_file(follow_symlinks=False)
