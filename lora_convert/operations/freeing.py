"""What would free bytes of training runs: commands, and what is lost by each."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import LoraConvertError
from lora_convert.operations.file_kinds import FROZEN, MADE, PRUNED, REBUILDING, RESUME, STORE

if TYPE_CHECKING:
    from lora_convert.operations.runs import Run, RunCheckpoint
    from lora_convert.operations.surveying import LargeFile, Owner, Survey

_OURS = frozenset({MADE, STORE, REBUILDING, PRUNED})
KEPT = 3
"""Checkpoints that a proposal to prune keeps."""


class Freeing(NamedTuple):
    """A command, and what it comes to; what several would free is not the sum of each."""

    command: str
    frees: int
    """Bytes on the disk, at most."""
    lost: str


class Duplicates(NamedTuple):
    """Files of one content."""

    paths: tuple[str, ...]
    """The one that was written first, then the others."""
    frees: int
    """Bytes of the others."""
    removable: bool
    """Whether the others may go: of what was made here each has its use."""


def freeings(survey: Survey, duplicates: Sequence[Duplicates]) -> tuple[Freeing, ...]:
    """All that would free anything, the most first."""
    found = [step for run in survey.runs.values() for step in _of_run(survey, run)]
    found += [_of_duplicates(group) for group in duplicates]
    return tuple(sorted((one for one in found if one.frees > 0), key=lambda one: -one.frees))


def _of_run(survey: Survey, run: Run) -> Iterator[Freeing]:
    address = shlex.quote(run.address)

    def frees(chosen: Callable[[Owner, str], bool]) -> int:
        return survey.frees(lambda owner, kind: owner.run == run.address and chosen(owner, kind))

    yield Freeing(
        f"lora-convert compact {address}",
        frees(lambda owner, kind: kind == FROZEN) - _one_base(survey, run),
        "nothing: lora-convert restore rebuilds them, byte for byte",
    )
    yield Freeing(
        f"lora-convert prune {address} --drop-resume-state",
        frees(lambda owner, kind: kind == RESUME),
        "training cannot go on from these checkpoints; they stay in the trash until it is emptied",
    )
    kept, options = _kept(run)
    going = {one.path for one in run.checkpoints} - {one.path for one in kept}
    yield Freeing(
        f"lora-convert prune {address} {options}",
        frees(lambda owner, kind: owner.path in going),
        f"{len(going)} of {len(run.checkpoints)} checkpoints; they stay in the trash until it is emptied",
    )
    yield Freeing(
        f"lora-convert prune {address} --unused",
        survey.unused(run.address),
        "nothing: no pipeline has it any more",
    )
    yield Freeing(
        f"lora-convert trash empty {address}",
        frees(lambda owner, kind: kind == PRUNED),
        "having back what was pruned",
    )


def _one_base(survey: Survey, run: Run) -> int:
    """Bytes of the base that compacting leaves: none, where the run has one already."""
    own = [kinds for owner, kinds in survey.counts.items() if owner.run == run.address]
    if any(kinds.get(REBUILDING) for kinds in own):
        return 0
    return max((kinds.get(FROZEN, 0) for kinds in own), default=0)


def _kept(run: Run) -> tuple[tuple[RunCheckpoint, ...], str]:
    """What a proposal keeps, and how that is written: the best and the last, where losses are known."""
    from lora_convert.operations.losses import ranked, read_losses

    last = run.checkpoints[-1:]
    try:
        losses = read_losses(run)
    except (LoraConvertError, OSError):
        losses = None
    best = [one for one, _ in ranked(run, losses)[:KEPT]] if losses else []
    if best:
        return (*best, *last), f"--keep-best {KEPT} --keep-last 1"
    return run.checkpoints[-KEPT:], f"--keep-last {KEPT}"


def _of_duplicates(group: Duplicates) -> Freeing:
    first, *others = group.paths
    return Freeing(
        shlex.join(["rm", "--", *others]),
        group.frees if group.removable else 0,
        f"{'these names' if len(others) > 1 else 'this name'}: {first} has the same content",
    )


def duplicates_of(groups: Sequence[Sequence[LargeFile]]) -> tuple[Duplicates, ...]:
    """Groups of one content, what they would free the most first."""
    found = []
    for group in groups:
        first, *others = sorted(group, key=lambda file: (file.changed, file.path))
        paths = (first.path, *(file.path for file in others))
        removable = _OURS.isdisjoint(file.kind for file in group)
        found.append(Duplicates(paths, sum(file.taken for file in others), removable))
    return tuple(sorted(found, key=lambda group: -group.frees))
