"""What would free bytes of training runs: commands, and what is lost by each."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import LoraConvertError
from lora_convert.operations.file_kinds import FROZEN, MADE, PRUNED, REBUILDING, STORE

if TYPE_CHECKING:
    from lora_convert.operations.pruning import Rules
    from lora_convert.operations.runs import Run
    from lora_convert.operations.surveying import LargeFile, Owner, Survey

_OURS = frozenset({MADE, STORE, REBUILDING, PRUNED})
_WAITING = "it waits in the trash until that is emptied"
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
    for rules, lost in _rules(run):
        freed, count = _pruned(run, rules)
        options = rules.command.removeprefix("prune ")
        yield Freeing(f"lora-convert prune {address} {options}", freed, lost.format(count))
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


def _rules(run: Run) -> Iterator[tuple[Rules, str]]:
    """What could be pruned, and what is lost by it; ``{}`` stands for a number of checkpoints."""
    from lora_convert.operations.losses import read_losses
    from lora_convert.operations.pruning import Rules

    try:
        losses = read_losses(run)
    except (LoraConvertError, OSError):
        losses = None
    going = "{} of " + str(len(run.checkpoints)) + " checkpoints"
    yield Rules(best=KEPT) if losses else Rules(last=KEPT), f"{going}; {_WAITING}"
    yield Rules(drop_resume_state=True), f"training cannot go on from there; {_WAITING}"
    yield Rules(unused=True), f"nothing: no pipeline has it any more; {_WAITING}"


def _pruned(run: Run, rules: Rules) -> tuple[int, int]:
    """Bytes that pruning would free, and the checkpoints that would go; none where it cannot be told."""
    from lora_convert.operations.pruning import plan_prune

    try:
        plan = plan_prune(run, rules)
    except (LoraConvertError, OSError):
        return 0, 0
    return plan.freed, len(run.checkpoints) - len(plan.kept)


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
