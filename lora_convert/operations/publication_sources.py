"""What is meant by a source that is to be published, and which run it is of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.operations.addresses import resolved, run_at, runs_of
from lora_convert.operations.runs import runs_in
from lora_convert.storage.places import is_hub

if TYPE_CHECKING:
    from lora_convert.operations.runs import Run, RunCheckpoint


class PublicationSource(NamedTuple):
    """One adapter, by what is to be opened."""

    given: str
    path: str
    run: Run | None
    """The run that it is of."""
    checkpoint: RunCheckpoint | None
    """Which of the run's; None for the adapter that training ended with."""


def publication_source(given: str) -> PublicationSource:
    """The adapter that is meant: a file, a folder, one of a run by its address, or of a run its result.

    A run's result is the adapter that training ended with, or else its last checkpoint. What holds an ``@``
    and exists is a path. Errors are those of `resolved`.
    """
    path = resolved(given)
    if is_hub(given):
        return PublicationSource(given, path, None, None)
    if path == given and os.path.isdir(path):
        runs = runs_in(path)
        if len(runs) == 1:
            path = runs[0].final or runs[0].checkpoints[-1].source
            return PublicationSource(given, path, runs[0], _checkpoint(runs[0], path))
        if len(runs) > 1:
            run_at(path)  # says which there are
    if path != given:
        run: Run | None = run_at(given.rpartition("@")[0])
    else:
        found = [one for one in runs_of(path) if _is_of(path, one)]
        run = next((one for one in found if one.manifest), found[-1] if found else None)
    return PublicationSource(given, path, run, _checkpoint(run, path) if run else None)


def _is_of(path: str, run: Run) -> bool:
    """Whether a path is a checkpoint of a run, its result, or a part of them, and not just beside them."""
    return _checkpoint(run, path) is not None or (
        run.final is not None and _is_inside(path, run.final)
    )


def _checkpoint(run: Run, path: str) -> RunCheckpoint | None:
    return next((one for one in run.checkpoints if _is_inside(path, one.path)), None)


def _is_inside(path: str, whole: str) -> bool:
    ends = (os.path.join(os.path.realpath(one), "") for one in (path, whole))
    return next(ends).startswith(next(ends))
