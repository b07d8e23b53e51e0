"""A training run as a value: its checkpoints in order, from the names in its folders alone.

No weights are opened. Links that lead out of the run are no part of it, nor are hidden names, what this
package made of the run, and names that no tool gives.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import CheckpointNotFoundError, InputError
from lora_convert.operations.run_layouts import LAYOUTS, MADE_HERE, layout_of
from lora_convert.storage.compacted import before, exists, recipe_of
from lora_convert.storage.documents import CONFIG, read_document
from lora_convert.storage.folders import INDEX_NAME, SUFFIXES, is_weights, natural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.operations.run_layouts import CheckpointKind, Layout, Place

MANIFEST = "run.json"

_BASE_MODEL = (
    ("base_model",),
    ("model", "path"),
    ("args", "pretrained_model_name_or_path"),
    ("base_model_name_or_path",),
)
"""Where documents name the model that was trained, the likelier first."""


class RunCheckpoint(NamedTuple):
    """One checkpoint of a run."""

    path: str
    """The file or folder."""
    name: str
    step: int | None
    """Optimizer steps done; None where the tool counts epochs alone."""
    epoch: int | None
    modified: float
    """When its weights were last written, in seconds since 1970."""
    kind: CheckpointKind
    inside: str = ""

    @property
    def source(self) -> str:
        """What to open."""
        return os.path.join(self.path, *self.inside.split("/")) if self.inside else self.path


class Run(NamedTuple):
    """What a training run left behind."""

    path: str
    """Its folder."""
    name: str
    """What its files are called; empty where they are called after their number alone."""
    tool: str
    """The row of the layouts that it was read by."""
    checkpoints: tuple[RunCheckpoint, ...]
    """In order of step; of epoch, where some have no step; of time, where some have no epoch either."""
    final: str | None
    """The adapter that training ended with, apart from the checkpoints."""
    manifest: Mapping[str, Any] | None
    """What the run says of itself in ``run.json``."""
    base_model: str | None
    address: str
    """What stands before the ``@`` of its checkpoints' addresses."""


def runs_in(folder: str) -> list[Run]:
    """The runs whose checkpoints lie in a folder: usually one, but files of several may share it.

    Checkpoints that are called after their number alone are one run.
    """
    place = _Folder(folder, os.path.realpath(folder))
    found: dict[tuple[str, str], _Found] = {}
    for layout in LAYOUTS:
        for where in layout.places:
            for name, checkpoint in place.checkpoints(layout, where):
                key = (layout.tool if name else "", name)
                counts = (checkpoint.step, checkpoint.epoch)
                found.setdefault(key, _Found(layout, name, {})).checkpoints.setdefault(
                    counts, checkpoint
                )
    ordered = sorted(found.values(), key=lambda one: natural(one.name))
    return [place.run(one, several=len(ordered) > 1) for one in ordered]


def twins_in(run: Run) -> dict[str, tuple[RunCheckpoint, ...]]:
    """Of each checkpoint of a run, by its path, it and all others of the same step and epoch.

    One of them stands for all in the run: the same weights in another container, or kept to go on from.
    """
    place = _Folder(run.path, os.path.realpath(run.path))
    found: dict[tuple[int | None, int | None], list[RunCheckpoint]] = {}
    layout = layout_of(run.tool)
    for where in layout.places:
        for name, one in place.checkpoints(layout, where):
            if name in {run.name, ""}:
                found.setdefault((one.step, one.epoch), []).append(one)
    return {
        one.path: tuple(
            {twin.path: twin for twin in (one, *found.get((one.step, one.epoch), ()))}.values()
        )
        for one in run.checkpoints
    }


class _Found(NamedTuple):
    """The checkpoints of one run, by step and epoch, as the first row that takes one knows them."""

    layout: Layout
    name: str
    checkpoints: dict[tuple[int | None, int | None], RunCheckpoint]


class _Folder:
    """A folder of runs; what is listed of it is listed once."""

    def __init__(self, path: str, real: str) -> None:
        self.path = path
        self._real = real
        self._listed: dict[str, list[os.DirEntry[str]]] = {}
        self._held: dict[str, list[str]] = {}

    def checkpoints(self, layout: Layout, place: Place) -> Iterator[tuple[str, RunCheckpoint]]:
        """What lies in one place under the names that a layout gives it."""
        for entry in self._entries(place.folder):
            name = before(entry.name)
            match = place.names.fullmatch(name)
            if match is None or entry.is_dir() == (place.kind == "file"):
                continue
            if place.kind != "file" and not self._is_one(layout, place, entry):
                continue
            found = match.groupdict()
            yield (
                found.get("name") or "",
                RunCheckpoint(
                    path=os.path.join(self.path, place.folder, name),
                    name=name,
                    step=_number(found.get("step")),
                    epoch=_number(found.get("epoch")),
                    modified=self._modified(entry, place),
                    kind=place.kind,
                    inside=place.inside,
                ),
            )

    def run(self, found: _Found, *, several: bool) -> Run:
        """A run of these checkpoints."""
        layout, name, _ = found
        ordered = _ordered([*found.checkpoints.values()])
        final = self._final(layout, name)
        manifest = _object(os.path.join(self.path, MANIFEST))
        documents = [manifest, *(_config(path) for path in (final, ordered[-1].path) if path)]
        return Run(
            path=self.path,
            name=name,
            tool=layout.tool,
            checkpoints=ordered,
            final=final,
            manifest=manifest,
            base_model=next(filter(None, map(_base_model, documents)), None),
            address=os.path.join(self.path, name) if several and name else self.path,
        )

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What may be a checkpoint in a folder of the run, safetensors first."""
        if folder not in self._listed:
            self._listed[folder] = []
            path = os.path.join(self.path, folder)
            if not folder or self._is_inside(path):
                self._listed[folder] = [
                    entry
                    for entry in sorted(_scanned(path, needed=not folder), key=_safetensors_first)
                    if not entry.name.startswith(".") and entry.name not in MADE_HERE
                    if before(entry.name).endswith(SUFFIXES) or entry.is_dir()
                    if not entry.is_symlink() or self._is_inside(entry.path)
                ]
        return self._listed[folder]

    def _is_inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return os.path.exists(real) and f"{real}{os.sep}".startswith(os.path.join(self._real, ""))

    def _is_one(self, layout: Layout, place: Place, entry: os.DirEntry[str]) -> bool:
        """Whether a folder holds weights, and is no other tool's."""
        if place.inside:
            return exists(os.path.join(entry.path, *place.inside.split("/")))
        names = self._names(entry)
        if INDEX_NAME in names or not layout.others.isdisjoint(names):
            return False
        if layout.signs and layout.signs.isdisjoint(names):
            return False
        return any(map(is_weights, names)) or any(
            os.path.isdir(os.path.join(entry.path, name)) for name in names
        )

    def _names(self, entry: os.DirEntry[str]) -> list[str]:
        if entry.path not in self._held:
            try:
                names = [name for name in os.listdir(entry.path) if not name.startswith(".")]
            except OSError:  # another's: opening it says why
                names = []
            self._held[entry.path] = names
        return self._held[entry.path]

    def _modified(self, entry: os.DirEntry[str], place: Place) -> float:
        """When the weights were written: the oldest of a folder, as conversions may lie beside them."""
        if place.inside:
            weights = os.path.join(entry.path, *place.inside.split("/"))
            return _time(weights) or _time(recipe_of(weights))
        names = [*filter(is_weights, self._names(entry))] if place.kind == "folder" else []
        times = [_time(os.path.join(entry.path, name)) for name in names]
        return min(times) if times else _time(entry.path)

    def _final(self, layout: Layout, name: str) -> str | None:
        if layout.final_folder:
            path = os.path.join(self.path, layout.final_folder)
            if self._is_inside(path) and os.path.isdir(path):
                return path if any(map(is_weights, os.listdir(path))) else None
        present = {before(entry.name) for entry in self._entries("") if not entry.is_dir()}
        wanted = (stem.format(name) + end for stem in layout.final_files for end in SUFFIXES)
        found = next((file for file in wanted if file in present), None)
        return os.path.join(self.path, found) if found else None


def _scanned(path: str, *, needed: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [*entries]
    except OSError as error:
        if needed:
            raise CheckpointNotFoundError(
                path, f"{path}: cannot be listed: {error.strerror}"
            ) from error
        return []


def _safetensors_first(entry: os.DirEntry[str]) -> tuple[bool, str]:
    return (not entry.name.endswith(SUFFIXES[0]), entry.name)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _time(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _ordered(checkpoints: list[RunCheckpoint]) -> tuple[RunCheckpoint, ...]:
    def key(one: RunCheckpoint) -> tuple[Any, ...]:
        count = one.step if stepped else one.epoch if counted else one.modified
        return (count, one.epoch or 0, natural(one.name))

    stepped = all(one.step is not None for one in checkpoints)
    counted = all(one.epoch is not None for one in checkpoints)
    return tuple(sorted(checkpoints, key=key))


def _config(path: str) -> Mapping[str, Any] | None:
    """PEFT's configuration in or beside an adapter."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    return _object(os.path.join(folder, CONFIG))


def _object(path: str) -> Mapping[str, Any] | None:
    """The JSON object in a file, where there is one: it may be another tool's."""
    if not os.path.lexists(path):
        return None
    try:
        document = read_document(path)
    except InputError:
        return None
    return document if isinstance(document, dict) else None


def _base_model(document: Mapping[str, Any] | None) -> str | None:
    for keys in _BASE_MODEL:
        value: Any = document
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value:
            return value
    return None
