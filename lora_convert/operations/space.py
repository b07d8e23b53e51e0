"""Where the bytes of training runs are, by kind, and what would free them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import CheckpointNotFoundError
from lora_convert.operations.file_kinds import KINDS
from lora_convert.operations.surveying import Survey
from lora_convert.storage.disk_usage import free_space
from lora_convert.storage.folders import natural

if TYPE_CHECKING:
    from lora_convert.operations.freeing import Duplicates, Freeing
    from lora_convert.operations.surveying import Owner

MOST_READ = 4 << 30
"""Bytes that are read to tell duplicates apart; of what would take more, it is said that it was not told."""


class Use(NamedTuple):
    """What a run, a checkpoint or a folder takes."""

    path: str
    bytes: int
    kinds: Mapping[str, int]
    tool: str = ""
    """Of a run, whose names it was read by."""
    inner: tuple[Use, ...] = ()
    """A run's checkpoints."""

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        fields: dict[str, Any] = {"path": self.path, "bytes": self.bytes, "kinds": {**self.kinds}}
        if self.tool:
            inner = [one.as_json() for one in self.inner]
            fields = {**fields, "tool": self.tool, "checkpoints": inner}
        return fields


class Space(NamedTuple):
    """What some folders take on the disk. All lists begin with the largest."""

    paths: tuple[str, ...]
    """Those that were walked."""
    bytes: int
    """As ``du -s -x`` counts: blocks, folders too, each file once however many names it has."""
    files: int
    folders: int
    linked: int
    """Bytes that further names of the same files would take, were they files of their own."""
    free: int | None
    """Bytes that the disk of the first path has free; None where it does not tell."""
    kinds: Mapping[str, int]
    runs: tuple[Use, ...]
    elsewhere: tuple[Use, ...]
    """What is no run's, by the folders directly in the paths."""
    duplicates: tuple[Duplicates, ...]
    not_compared: int
    """Bytes of files that may have a duplicate, had more been read."""
    passed_over: tuple[tuple[str, str], ...]
    """Folders that are not counted, and why."""
    plan: tuple[Freeing, ...]

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {
            "paths": list(self.paths),
            "bytes": self.bytes,
            "files": self.files,
            "folders": self.folders,
            "linked": self.linked,
            "free": self.free,
            "kinds": [
                {"kind": kind, "bytes": count, **KINDS[kind]._asdict()}
                for kind, count in self.kinds.items()
            ],
            "runs": [run.as_json() for run in self.runs],
            "elsewhere": [use.as_json() for use in self.elsewhere],
            "duplicates": [group._asdict() for group in self.duplicates],
            "not_compared": self.not_compared,
            "passed_over": [{"path": path, "why": why} for path, why in self.passed_over],
            "plan": [step._asdict() for step in self.plan],
        }


def space(
    paths: Iterable[str | os.PathLike[str]], *, plan: bool = False, compare: bool = True
) -> Space:
    """What is below some folders, and with `plan` what would free how much of it.

    Of weights the headers are read, and with `compare` of files of one size as much as tells them apart.
    Links are not followed, and what is mounted in a folder is not entered. CheckpointNotFoundError where
    a path is no folder.
    """
    walked = _apart([os.path.normpath(os.fspath(path)) for path in paths])
    survey = Survey()
    for path in walked:
        survey.add(path)
    duplicates, not_compared = _duplicates(survey) if compare else ((), 0)
    steps: tuple[Freeing, ...] = ()
    if plan:
        from lora_convert.operations.freeing import freeings

        steps = freeings(survey, duplicates)
    kinds = _summed(survey.counts.values())
    runs, elsewhere = _uses(survey)
    return Space(
        paths=walked,
        bytes=sum(kinds.values()),
        files=survey.files,
        folders=survey.folders,
        linked=survey.linked,
        free=free_space(walked[0]),
        kinds=kinds,
        runs=runs,
        elsewhere=elsewhere,
        duplicates=duplicates,
        not_compared=not_compared,
        passed_over=tuple(survey.passed_over),
        plan=steps,
    )


def _apart(paths: Sequence[str]) -> tuple[str, ...]:
    """The folders of which none is in another, or the same."""
    real: dict[str, str] = {}
    for path in paths:
        if not os.path.isdir(path):
            told = f"{path}: is not a folder" if os.path.lexists(path) else ""
            raise CheckpointNotFoundError(path, told, hint="give a folder of runs, or a run")
        real.setdefault(os.path.join(os.path.realpath(path), ""), path)
    return tuple(
        path
        for place, path in real.items()
        if not any(place != other and place.startswith(other) for other in real)
    )


def _duplicates(survey: Survey) -> tuple[tuple[Duplicates, ...], int]:
    """Groups of one content, and the bytes of files that were not compared to the end."""
    if len({file.size for file in survey.large}) == len(survey.large):
        return (), 0
    from lora_convert.operations.freeing import duplicates_of
    from lora_convert.storage.duplicates import Sized, same_content

    by_path = {file.path: file for file in survey.large}
    same = same_content([Sized(f.path, f.size) for f in survey.large], MOST_READ)
    groups = [[by_path[file.path] for file in group] for group in same.groups]
    return duplicates_of(groups), sum(by_path[file.path].taken for file in same.undecided)


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Bytes by kind, the most first."""
    total: dict[str, int] = defaultdict(int)
    for kinds in counts:
        for kind, count in kinds.items():
            total[kind] += count
    order = [*KINDS]
    found = [kind for kind, count in total.items() if count]
    return {kind: total[kind] for kind in sorted(found, key=lambda k: (-total[k], order.index(k)))}


def _uses(survey: Survey) -> tuple[tuple[Use, ...], tuple[Use, ...]]:
    """What each run takes with its checkpoints, and what is no run's."""
    by_run: dict[str, dict[Owner, Mapping[str, int]]] = defaultdict(dict)
    for owner, kinds in survey.counts.items():
        by_run[owner.run][owner] = kinds
    runs = []
    for address, run in survey.runs.items():
        owners = by_run[address]
        inner = [_use(o.path, [kinds]) for o, kinds in owners.items() if o.path != address]
        runs.append(_use(address, owners.values(), run.tool, _largest_first(inner)))
    elsewhere = [_use(owner.path, [kinds]) for owner, kinds in by_run[""].items()]
    return _largest_first(runs), _largest_first(elsewhere)


def _use(
    path: str, counts: Iterable[Mapping[str, int]], tool: str = "", inner: tuple[Use, ...] = ()
) -> Use:
    kinds = _summed(counts)
    return Use(path, sum(kinds.values()), kinds, tool, inner)


def _largest_first(uses: Iterable[Use]) -> tuple[Use, ...]:
    return tuple(sorted(uses, key=lambda use: (-use.bytes, natural(use.path))))
