"""The folder whose checkpoints belong together: a run's, or the one that a checkpoint lies in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CheckpointNotFoundError, OptionError
from lora_convert.operations import idle
from lora_convert.operations.addresses import resolved
from lora_convert.operations.runs import Run, runs_in
from lora_convert.storage.compacted import exists
from lora_convert.storage.locks import held
from lora_convert.storage.places import is_hub

if TYPE_CHECKING:
    from lora_convert.operations.pruning import PrunePlan

_PARENTS = 3
"""Folders above a checkpoint in which its run is looked for."""


class Home(NamedTuple):
    """Checkpoints, and the folder that keeps what they share and what is taken from them."""

    path: str
    sources: tuple[str, ...]
    """What to open: those that were asked for, in order."""
    runs: tuple[Run, ...]
    """The runs in the folder; none where the checkpoints are of no run that is known."""

    def seen_from(self, folder: str) -> Home:
        """The same, with paths relative to a folder."""
        sources = (os.path.relpath(source, folder) for source in self.sources)
        return self._replace(path=os.path.relpath(self.path, folder), sources=tuple(sources))

    def plan_drop(self) -> tuple[PrunePlan, ...]:
        """What training would go on from at these checkpoints, to be moved to the trash.

        OptionError where they are of no run that is known.
        """
        from lora_convert.operations.pruning import Rules, plan_prune

        if not self.runs:
            why = f"{self.path} is no run that is known, so that its states are not known either"
            raise OptionError("drop-resume-state", True, why=why, hint="leave it out")
        chosen = {os.path.abspath(source) for source in self.sources}
        whole = all(one.source in chosen for run in self.runs for one in run.checkpoints)
        only = None if whole else chosen
        rules = Rules(drop_resume_state=True)
        return tuple(plan_prune(run, rules, only=only) for run in self.runs)

    @contextmanager
    def reserved(self, *, force: bool) -> Iterator[None]:
        """Hold it for oneself. Errors as of `idle.reserved`; of no run, only the checkpoint must be idle."""
        if self.runs:
            with idle.reserved(self.path, force=force):
                yield
            return
        with held(self.path):
            for source in filter(os.path.isdir, self.sources):
                idle.check_idle(source, force=force)
            yield

    @property
    def base_model(self) -> str | None:
        """What the runs say that they trained, where all say the same."""
        named = {run.base_model for run in self.runs}
        return named.pop() if len(named) == 1 else None


def home_of(path: str) -> Home:
    """The home of a run's folder, of its address (``RUN@500``), or of a checkpoint's file or folder.

    CheckpointNotFoundError where nothing is there.
    """
    if is_hub(path):
        what = f"{path}: is on the Hub; what is changed in its place is on this machine"
        raise CheckpointNotFoundError(path, what, hint="give the folder of a run")
    given, path = path, os.path.abspath(resolved(path))
    if not exists(path):
        raise CheckpointNotFoundError(path)
    own = runs_in(path) if os.path.isdir(path) else []
    sources = _sources(own) or (path,)
    folder, found = path, Home(path if own else os.path.dirname(path), sources, tuple(own))
    for _ in range(_PARENTS):  # the outermost: a run's folder of checkpoints looks like a run too
        folder = os.path.dirname(folder)
        try:
            runs = runs_in(folder)
        except CheckpointNotFoundError:  # not ours to list
            break
        if set(sources) <= {*_sources(runs)}:
            found = Home(folder, sources, tuple(runs))
    return found if os.path.isabs(given) else found.seen_from(os.curdir)


def _sources(runs: list[Run]) -> tuple[str, ...]:
    found = (one.source for run in runs for one in run.checkpoints)
    finals = (run.final for run in runs if run.final)
    return tuple(dict.fromkeys([*found, *finals]))
