"""Every byte below some folders, counted once, by the run and checkpoint it belongs to and by kind."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.operations.file_kinds import (
    ADAPTERS,
    FROZEN,
    MADE,
    MODELS,
    OTHER,
    STORE,
    kind_of_file,
    kind_of_folder,
)
from lora_convert.operations.run_listing import own_paths, parts_of, runs_below
from lora_convert.operations.sharing import METADATA_NAME
from lora_convert.storage.disk_usage import disk_of, folders_below, prefix_of
from lora_convert.storage.folders import INDEX_NAME

if TYPE_CHECKING:
    from lora_convert.operations.runs import Run
    from lora_convert.operations.weight_kinds import WeightKinds
    from lora_convert.storage.disk_usage import Folder

LARGE = 1 << 20
"""Bytes from which on files are compared with others."""


class Owner(NamedTuple):
    """Whose some bytes are."""

    run: str
    """Its address; empty for what is no run's."""
    path: str
    """The checkpoint, or the run's folder; outside of runs a folder directly in the given one."""


class Inode(NamedTuple):
    """A file of several names."""

    names: int
    """All of them, also those that lie elsewhere."""
    parts: dict[str, int]
    """Bytes by kind, counted for the first name."""
    seen: list[tuple[Owner, str]]
    """The names that were met: whose, and the kind of their folder."""


class LargeFile(NamedTuple):
    """A file that may have a duplicate."""

    path: str
    kind: str
    size: int
    taken: int
    changed: int
    """When, in nanoseconds."""


class Place(NamedTuple):
    """What is known of a folder from those above it."""

    owner: Owner
    kind: str


class Survey:
    """What was counted."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.counts: dict[Owner, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.files = self.folders = 0
        self.linked = 0
        """Bytes that further names of a file would take, were they files of their own."""
        self.inodes: dict[tuple[int, int], Inode] = {}
        self.large: list[LargeFile] = []
        self.passed_over: list[tuple[str, str]] = []
        """Folders that are not counted, and why."""
        self._owners: dict[str, Owner] = {}
        self._weights: WeightKinds | None = None

    def add(self, path: str) -> None:
        """Count what is in a folder and below it, on its disk."""
        for run in runs_below(path):
            self._add_run(run)
        holding = {os.path.dirname(owned) or os.curdir for owned in self._owners}
        top = Owner("", path)
        places = {path: Place(self._owners.get(path, top), kind_of_folder(_name(path)))}
        for folder in folders_below(path, lambda *told: self.passed_over.append(told)):
            place = places.pop(folder.path)
            if not place.kind and folder.folders:
                place = place._replace(kind=_kind_of_model(folder))
            self.folders += 1
            self.counts[place.owner][place.kind or OTHER] += disk_of(folder.status)
            self._add_files(folder, place, owned=folder.path in holding)
            before = prefix_of(folder.path)
            for name in folder.folders:
                inner = before + name
                owner = self._owners.get(inner) or (
                    Owner("", inner) if place.owner is top else place.owner
                )
                places[inner] = Place(owner, _kind_inside(place.kind, name))

    def _add_run(self, run: Run) -> None:
        self.runs[run.address] = run
        for path in own_paths(run):
            self._owners[os.path.normpath(path)] = Owner(run.address, run.address)
        for path in (*(one.path for one in run.checkpoints), *filter(None, [run.final])):
            for part in parts_of(run, path):
                self._owners[os.path.normpath(part)] = Owner(run.address, path)

    def _add_files(self, folder: Folder, place: Place, *, owned: bool) -> None:
        owner, fixed = place
        counts = self.counts[owner]
        self.files += len(folder.files)
        for name, status in folder.files:
            kind = fixed or kind_of_file(name)
            if kind == ADAPTERS or status.st_size >= LARGE or status.st_nlink > 1 or owned:
                path = prefix_of(folder.path) + name
                whose = self._owners.get(path, owner) if owned else owner
                self._add_file(path, status, Place(whose, fixed), kind)
            else:
                counts[kind] += disk_of(status)

    def _add_file(self, path: str, status: os.stat_result, place: Place, kind: str) -> None:
        """Count a file of which more is to be known than its name and size."""
        taken, several = disk_of(status), status.st_nlink > 1
        inode = self.inodes.get((status.st_dev, status.st_ino)) if several else None
        if inode:
            self.linked += taken
            self.files -= 1
            inode.seen.append((place.owner, place.kind))
            return
        parts = {kind: taken}
        if kind == ADAPTERS and stat.S_ISREG(status.st_mode):
            parts = self._parted(path, taken)
        for part, count in parts.items():
            self.counts[place.owner][part] += count
        if several:
            seen = [(place.owner, place.kind)]
            self.inodes[status.st_dev, status.st_ino] = Inode(status.st_nlink, parts, seen)
        if status.st_size >= LARGE and taken and stat.S_ISREG(status.st_mode):
            changed = status.st_mtime_ns
            self.large.append(LargeFile(path, kind, status.st_size, taken, changed))

    def _parted(self, path: str, taken: int) -> dict[str, int]:
        """What a file of weights takes, by kind."""
        if self._weights is None:
            from lora_convert.operations.weight_kinds import WeightKinds

            self._weights = WeightKinds()
        held = self._weights.held(path)
        frozen = min(held.frozen, taken)
        return {held.kind: taken - frozen, **({FROZEN: frozen} if frozen else {})}

    def frees(self, chosen: Callable[[Owner, str], bool]) -> int:
        """Bytes that are free once all that is `chosen`, by owner and kind, is gone.

        A file is gone once all its names are.
        """
        total = sum(
            count
            for owner, kinds in self.counts.items()
            for kind, count in kinds.items()
            if chosen(owner, kind)
        )
        for inode in self.inodes.values():
            for kind, count in inode.parts.items():
                going = [chosen(owner, fixed or kind) for owner, fixed in inode.seen]
                if going[0] and not (all(going) and len(going) == inode.names):
                    total -= count
        return total


def _name(path: str) -> str:
    return os.path.basename(os.path.abspath(path))


def _kind_inside(kind: str, name: str) -> str:
    """The kind of a folder in one of a kind: only the store is another's in pipelines."""
    if not kind or kind == MADE:
        found = kind_of_folder(name)
        return found if not kind or found == STORE else kind
    return kind


def _kind_of_model(folder: Folder) -> str:
    """The kind of a folder that holds a whole pipeline: ours, or another's; empty where it holds none."""
    names = {name for name, _ in folder.files}
    return (MADE if METADATA_NAME in names else MODELS) if INDEX_NAME in names else ""
