"""Whether what a run's pipelines and checkpoints share is still what it was, and all of it is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.operations.provenance import read_provenance
from lora_convert.operations.sharing import BASES, FINAL, PIPELINES, SHARED
from lora_convert.storage.restoring import problem_of, recipes_below
from lora_convert.storage.store import check, entries

if TYPE_CHECKING:
    from lora_convert.operations.runs import Run


class Checked(NamedTuple):
    """What was found of a run."""

    path: str
    """The run's folder."""
    entries: int
    bytes: int
    pipelines: int
    compacted: int
    """Files of checkpoints that recipes stand for."""
    problems: tuple[str, ...]
    """What is not as it was, in words."""

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {**self._asdict(), "problems": list(self.problems)}


def check_run(run: Run, progress: Callable[[int], None] = lambda size: None) -> Checked:
    """Read all that pipelines and compacted checkpoints share, and compare it with its hashes.

    Compacted files are rebuilt, and hashed. Files that belong to one pipeline have no hash of their own:
    of those only the size is compared.
    """
    folder = os.path.join(run.path, PIPELINES)
    stores = (os.path.join(folder, SHARED), os.path.join(run.path, BASES))
    kept = [entry for store in stores for entry in entries(store)]
    damaged = (bad for store in stores for bad in check(store, progress))
    problems = [f"{bad.entry.path}: {bad.problem}" for bad in damaged]
    compacted = [*recipes_below(run.path)]
    found = ((path, problem_of(path, progress)) for path in compacted)
    problems += [f"{path}: {problem}" for path, problem in found if problem]
    places = [os.path.join(folder, name) for name in _folders(folder)]
    made = [place for place in (*places, os.path.join(run.path, FINAL)) if read_provenance(place)]
    for place in made:
        problems += _missing(place)
    return Checked(
        run.path,
        len(kept),
        sum(entry.size for entry in kept),
        len(made),
        len(compacted),
        tuple(problems),
    )


def _folders(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _missing(place: str) -> list[str]:
    files = read_provenance(place).get("files")
    problems = []
    for name, size in files.items() if isinstance(files, dict) else ():
        path = os.path.join(place, *str(name).split("/"))
        found = os.path.getsize(path) if os.path.isfile(path) else None
        if found != size:
            problems.append(
                f"{path}: {'is gone' if found is None else f'has {found:,} bytes, not {size:,}'}"
            )
    return problems
