"""Adapters changed and written again: what every operation on deltas has in common.

An operation is a function from adapters to an adapter of expressions. What is read, where it is written,
in which format, and the proof, are those of a conversion.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.translate import translate
from lora_convert.errors import AmbiguousCheckpointError
from lora_convert.operations.destination import destination, folder_for, stem_of
from lora_convert.operations.reading import Reading, read_adapter_of
from lora_convert.operations.writing import Origin, check_options, plan_adapter
from lora_convert.storage.joined import Joined
from lora_convert.storage.places import is_hub
from lora_convert.storage.probe import ByteFacts

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter
    from lora_convert.architectures import Architecture
    from lora_convert.formats import Format
    from lora_convert.operations.destination import Destination
    from lora_convert.operations.opening import Opened
    from lora_convert.operations.writing import ConversionPlan
    from lora_convert.planning import Loss, LossPolicy
    from lora_convert.tensors.evaluate import Read

AS_TOLD = Reading()


class Writing(NamedTuple):
    """How the result is written."""

    to: str | None = None
    """A format; None for that of the first source."""
    output: str | None = None
    dtype: str | None = None
    losses: LossPolicy = "warn"


AS_IT_WAS = Writing()


class Edited(NamedTuple):
    """An adapter as an operation leaves it."""

    adapter: Adapter
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()
    fields: Mapping[str, Any] = {}
    """What else there is to say, as JSON has it."""
    measured: Callable[[], Mapping[str, Any]] = dict
    """The same, of what is known only once the tensors are computed."""
    acts_like: Adapter | None = None
    """What the output is proved against; itself, where it acts like nothing that there was."""


class Bench(NamedTuple):
    """What an operation works with."""

    adapters: tuple[Adapter, ...]
    paths: tuple[str, ...]
    read: Read
    size_of: Callable[[Adapter], int]
    """Bytes that an adapter takes as it is to be written."""
    in_diffusers_names: Callable[[Adapter], Adapter]
    architecture: Architecture | None


def plan_edit(
    sources: Sequence[str],
    edit: Callable[[Bench], Edited],
    suffix: str,
    reading: Reading = AS_TOLD,
    writing: Writing = AS_IT_WAS,
) -> ConversionPlan:
    """Work out what `edit` makes of the adapters in `sources`, to the byte.

    Several must be of one architecture; they are given in Diffusers' names where theirs are not the same.
    `suffix` is appended to the first one's name where no output is given. The plan holds its sources open.
    """
    with ExitStack() as closing:
        opened = [reading.opened(path, closing) for path in sources]
        joined = Joined(*(one.checkpoint for one in opened))
        found = []
        first = 0
        for one in opened:
            with one.naming():
                found.append(
                    read_adapter_of(
                        one, wanted=reading.adapter, scale_from=reading.scale_from, first_file=first
                    )
                )
            first += len(one.checkpoint.files)
        origin = _origin(opened, joined)
        format_ = check_options(writing.to or origin.format or "", writing.dtype, writing.losses)
        given = (
            sources[0] if os.path.lexists(sources[0]) else joined.path
        )  # a run's address is none
        place = destination_beside(given, suffix, format_, writing.output)
        planned = partial(
            plan_adapter, origin, format_=format_, destination=place, dtype=writing.dtype
        )

        def size_of(adapter: Adapter) -> int:
            return planned(adapter, losses="allow").plan.size

        architecture = ARCHITECTURES[origin.architecture] if origin.architecture else None
        in_diffusers_names = partial(
            translate,
            architecture=architecture,
            namespace="diffusers",
            facts=ByteFacts(joined.read),
        )
        adapters = tuple(one.adapter for one in found)
        if len({delta.namespace for adapter in adapters for delta in adapter.deltas}) > 1:
            adapters = tuple(map(in_diffusers_names, adapters))
        with opened[0].naming():
            bench = Bench(
                adapters, tuple(sources), joined.read, size_of, in_diffusers_names, architecture
            )
            edited = edit(bench)
            supposed = tuple(loss for one in found for loss in one.losses)
            known = (*supposed, *edited.losses)
            plan = planned(edited.adapter, losses=writing.losses, known_losses=known)
        notes = [
            note if len(found) == 1 else f"{path}: {note}"
            for path, one in zip(sources, found, strict=True)
            for note in one.notes
        ]
        plan.notes = (*notes, *edited.notes, *plan.notes)
        plan.fields, plan.measured = edited.fields, edited.measured
        plan.adapter = edited.acts_like or plan.adapter
        closing.pop_all()
        return plan
    raise AssertionError  # the stack swallows nothing


def _origin(opened: Sequence[Opened], joined: Joined) -> Origin:
    names = {one.detection.architecture for one in opened}
    if len(names) > 1:
        listed = [f"{one.checkpoint.path}: {one.detection.architecture}" for one in opened]
        raise AmbiguousCheckpointError(
            f"{joined.path}: these adapters are of different architectures",
            choices=listed,
            hint="--architecture NAME reads all of them as one",
        )
    return Origin(joined, opened[0].detection.format, names.pop())


def destination_beside(
    path: str, suffix: str, format_: Format, output: str | None = None
) -> Destination:
    """Where a result goes: `output`, or beside the source under another name."""
    whole = path if is_hub(path) else os.path.normpath(path)
    whole = os.path.abspath(whole) if os.path.basename(whole) in {".", ".."} else whole
    parent, name = folder_for(whole), os.path.basename(whole)
    stem = f"{name if os.path.isdir(path) else stem_of(name)}-{suffix}"
    if output is None:
        output = os.path.join(parent, stem if format_.folder else f"{stem}.safetensors")
    return destination(format_, output, parent, stem)
