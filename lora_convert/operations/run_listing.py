"""Runs below a folder, what they take on the disk, and what has been made of their checkpoints."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CheckpointNotFoundError
from lora_convert.operations.destination import is_named_after, stem_of
from lora_convert.operations.run_layouts import MADE_HERE, layout_of
from lora_convert.operations.runs import runs_in
from lora_convert.operations.sharing import FINAL, LORAS, PIPELINES, TRASH
from lora_convert.storage.folders import is_state, is_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lora_convert.operations.runs import Run

_MODEL = re.compile(r"(diffusion_)?(pytorch_)?model(_fsdp)?(_\d+)?(-\d+-of-\d+)?(\.fp16)?\.\w+")
_STATES = "-state"
"""Ending of the names of folders that hold a state and nothing else."""

DEPTH = 5
"""Of folders below the given one in which runs are looked for."""


def runs_below(folder: str, depth: int = DEPTH) -> Iterator[Run]:
    """The runs in a folder and below it, by path. Links, hidden folders and runs' own are not entered."""
    found = runs_in(folder)
    yield from found
    if depth and all(run.name for run in found):
        for name in _folders_in(folder):
            below = name if folder == os.curdir else os.path.join(folder, name)
            try:
                yield from runs_below(below, depth - 1)
            except CheckpointNotFoundError:  # not for us to read
                continue


def _folders_in(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(name for name in names if name not in MADE_HERE and not name.startswith("."))


class Sizes(NamedTuple):
    """Bytes by kind, told by names alone; what is hard-linked counts once."""

    adapters: int
    """Weights of any other name than a model's."""
    models: int
    """Weights called ``model``, mostly whole models."""
    states: int
    """What training goes on from: optimizer, scheduler, random numbers."""
    made: int
    """What this package made of the run, in its own folders."""
    other: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


def sizes_of(run: Run) -> Sizes:
    """What a run takes: its folder, or its own files where others share that."""
    return _sizes(own_paths(run))


def sizes_by_checkpoint(run: Run) -> dict[str, Sizes]:
    """What each checkpoint takes, by its path."""
    return {one.path: _sizes(parts_of(run, one.path)) for one in run.checkpoints}


def own_paths(run: Run) -> list[str]:
    """The files and folders that are a run's: its folder, or its own where others share that."""
    alone = run.address == run.path
    if alone and not layout_of(run.tool).shared:
        return [run.path]
    weights = [*(one.path for one in run.checkpoints), *([run.final] if run.final else [])]
    made = (*MADE_HERE, TRASH) if alone else [f"{run.name}-{FINAL}"]
    return [
        *(part for path in weights for part in parts_of(run, path)),
        *(os.path.join(run.path, name) for name in made),
    ]


def parts_of(run: Run, path: str) -> tuple[str, ...]:
    """A checkpoint, or the last weights, and what lies beside to go on from."""
    return path, *filter(None, [_state(run, path)])


def _state(run: Run, path: str) -> str:
    """The folder that training goes on from, where the tool keeps it beside a checkpoint."""
    name = layout_of(run.tool).state
    return name and os.path.join(
        os.path.dirname(path), name.format(stem_of(os.path.basename(path)))
    )


def _sizes(paths: Iterable[str]) -> Sizes:
    counted: Counter[str] = Counter()
    seen: set[tuple[int, int]] = set()
    for path, folders in _files(paths):
        try:
            status = os.lstat(path)
        except OSError:  # gone by now
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            counted[_kind(os.path.basename(path), folders)] += status.st_size
    return Sizes(*(counted[kind] for kind in Sizes._fields))


def _files(paths: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Every file of some files and folders, and the folders that it lies in from there on."""
    for path in filter(None, paths):
        if not os.path.isdir(path):
            yield path, []
        for folder, _, names in os.walk(path):
            within = [os.path.basename(path), *os.path.relpath(folder, path).split(os.sep)]
            for name in names:
                yield os.path.join(folder, name), within


def _kind(name: str, folders: list[str]) -> str:
    if any(folder in MADE_HERE or folder.endswith(f"-{FINAL}") for folder in folders):
        return "made"
    if is_state(name) or any(folder.endswith(_STATES) for folder in folders):
        return "states"
    if is_weights(name):
        return "models" if _MODEL.fullmatch(name) else "adapters"
    return "other"


def conversions_beside(run: Run) -> dict[str, tuple[str, ...]]:
    """What has been made of each checkpoint, by its path: formats, and ``pipeline``.

    Told by the names that conversions give where they are not told otherwise.
    """
    listed: dict[str, frozenset[str]] = {}

    def names(folder: str) -> frozenset[str]:
        if folder not in listed:
            listed[folder] = frozenset(_listed(folder))
        return listed[folder]

    pipelines, loras = (names(os.path.join(run.path, name)) for name in (PIPELINES, LORAS))
    found = {}
    for one in run.checkpoints:
        beside = names(os.path.dirname(one.path)) | loras
        stem = one.name if one.kind != "file" else stem_of(one.name)
        inside = _inside(_listed(one.path)) if one.kind == "folder" else ()
        made = [*_beside(stem, beside), *inside]
        made += ["pipeline"] if stem in pipelines else []
        found[one.path] = tuple(dict.fromkeys(made))
    return found


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _beside(stem: str, names: frozenset[str]) -> Iterator[str]:
    from lora_convert.formats import written

    for format_ in written().values():
        own = format_.file_name(stem) if is_named_after(format_) else f"{stem}_{format_.name}"
        if own in names:
            yield format_.name


def _inside(names: list[str]) -> Iterator[str]:
    """What was made in a checkpoint's folder: called after its weights, or lying beside others."""
    from lora_convert.formats import written

    present = frozenset(names)
    stems = {stem_of(name) for name in names if is_weights(name)}
    named = {f.name: f for f in written().values() if is_named_after(f)}
    made = {(f.name, f.file_name(stem)) for f in named.values() for stem in stems}
    found = {(name, file) for name, file in made if file in present}
    sources = stems - {stem_of(file) for _, file in found}
    for format_ in written().values():
        own = format_.file_name("")
        beside_another = own in present and sources - {stem_of(own)}
        if beside_another if format_.name not in named else format_.name in dict(found):
            yield format_.name
