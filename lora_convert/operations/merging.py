"""Adapters merged into one file of weights: a whole checkpoint, or a component of a pipeline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lora_convert.architectures import ARCHITECTURES, SINGLE_FILES
from lora_convert.conversion.grounding import grounded
from lora_convert.conversion.merge import keys_of_pipeline, merge
from lora_convert.conversion.translate import translate
from lora_convert.errors import BaseMismatchError, DestinationExistsError, OptionError
from lora_convert.formats import COMPONENTS
from lora_convert.operations.bases import model_at
from lora_convert.operations.pieces import Options
from lora_convert.operations.reading import (
    Reading,
    check_finite,
    notes_on_effect,
    read_adapter_of,
)
from lora_convert.planning import TensorFile
from lora_convert.storage.atomic import check_space, staged_file
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.flushing import Flushing
from lora_convert.storage.folders import WeightFiles, ranked_weights, weight_files
from lora_convert.storage.joined import Joined
from lora_convert.storage.parents import made_folder
from lora_convert.storage.pipelines import is_pipeline, read_pipeline
from lora_convert.storage.probe import ByteFacts
from lora_convert.storage.writer import check_written, same_as_file, write_tensor_file

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter, Delta
    from lora_convert.conversion.merge import Keys
    from lora_convert.facts import Facts
    from lora_convert.operations.opening import Opened
    from lora_convert.tensors.expr import Expr


class Added(NamedTuple):
    """An adapter and how many times it is added."""

    path: str
    strength: float


class MergeResult(NamedTuple):
    """What a merge did."""

    status: Literal["written", "unchanged"]
    output: str
    seconds: float
    plan: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {**self.plan, "status": self.status, "seconds": self.seconds}


class MergePlan:
    """A merge worked out to the byte. Holds its sources open until it is closed."""

    def __init__(
        self,
        joined: Joined,
        file: TensorFile,
        output: str,
        counts: tuple[int, int],
        said: dict[str, Any],
        closing: ExitStack,
    ) -> None:
        self.joined = joined
        self.file = file
        self.output = output
        self.merged, self.untouched = counts
        self._said = said
        self._closing = closing

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        counts = {"merged": self.merged, "untouched": self.untouched}
        return {**self._said, "output": self.output, "bytes": self.file.size, **counts}

    def apply(
        self,
        *,
        force: bool = False,
        verify: bool = True,
        progress: Callable[[int], None] = lambda done: None,
    ) -> MergeResult:
        """Write the file: whole, or not at all; it is read back before it gets its name."""
        started = time.perf_counter()
        output = os.path.abspath(self.output)
        if self.joined.is_source(output):
            why = "it is a source, which is never touched"
            raise DestinationExistsError(self.output, why=why, hint="choose another with -o")
        if os.path.lexists(output):
            if same_as_file(self.file, self.joined, output):
                seconds = time.perf_counter() - started
                return MergeResult("unchanged", self.output, seconds, self.as_json())
            if not force:
                raise DestinationExistsError(self.output)
        parent = os.path.dirname(output)
        with made_folder(parent), staged_file(output, self.file.size) as (descriptor, staged):
            check_space(parent, self.file.size)
            written = write_tensor_file(descriptor, self.file, self.joined, progress, check_finite)
            with Flushing(descriptor):
                check_written(descriptor, output, written, self.joined, data=verify)
            staged.publish(replace=force)
        return MergeResult("written", self.output, time.perf_counter() - started, self.as_json())

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of the adapters, each with its path."""
        return tuple(self._said["notes"])

    def close(self) -> None:
        """Close all sources."""
        self._closing.close()

    def __enter__(self) -> MergePlan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_AS_TOLD = Reading()


def plan_merge(
    adapters: Sequence[Added], into: str, output: str, reading: Reading = _AS_TOLD
) -> MergePlan:
    """Work out the weights in `into` with all `adapters` added: other tensors and metadata stay as they are.

    `into` is a checkpoint in one file in its authors' names, or the weights of a pipeline's component, a file
    or folder. Every module of every adapter must find its weight there, else BaseMismatchError.
    """
    if not output.endswith(".safetensors"):
        raise OptionError(
            "output", output, why="a file of weights is written", hint="-o OUT.safetensors"
        )
    with ExitStack() as closing:
        base = closing.enter_context(Checkpoint(weights_at(into)))
        opened = [reading.opened(one.path, closing) for one in adapters]
        joined = Joined(base, *(one.checkpoint for one in opened))
        facts = ByteFacts(joined.read)
        tensors: dict[str, Expr] = {**base.header.tensors}
        changed: set[str] = set()
        notes: list[str] = []
        first = len(base.files)
        for one, added in zip(opened, adapters, strict=True):
            with one.naming():
                found = read_adapter_of(
                    one, wanted=reading.adapter, scale_from=reading.scale_from, first_file=first
                )
                told = (*found.told, *notes_on_effect(found.adapter, joined.read))
                deltas, keys = spelled(one, found.adapter, tensors, facts, into)
                if found.changed_by:
                    untouched = base.header.tensors
                    deltas = grounded(
                        untouched, deltas, keys, changed_by=found.changed_by, where=into
                    )
                merged = merge(tensors, deltas, keys, strength=added.strength, where=into)
            tensors, first = merged.tensors, first + len(one.checkpoint.files)
            changed |= merged.changed
            notes += [f"{added.path}: {note}" for note in told]
        said = {"into": into, "adapters": [one._asdict() for one in adapters], "notes": notes}
        file = TensorFile(
            os.path.basename(output), tensors, base.header.metadata or {"format": "pt"}
        )
        counts = (len(changed), len(tensors) - len(changed))
        return MergePlan(joined, file, output, counts, said, closing.pop_all())
    raise AssertionError  # the stack swallows nothing


def in_one_file(base: str | None, options: Options) -> str:
    """The base of a pipeline that is to be one file; OptionError where it is none, or more is asked."""
    if base is None or not os.path.isfile(base):
        why = "one file is written in the names of a base that is one file"
        raise OptionError("single-file", base or "", why=why, hint="--base FILE")
    asked = options._replace(scale=1.0, dtype=None if options.dtype == "keep" else options.dtype)
    for name, value in asked._asdict().items():
        if value != getattr(Options(), name):
            raise OptionError(name, value, why="one file has the base's own layout and dtype")
    return base


def weights_at(into: str) -> WeightFiles:
    """The weights of one component, or of a checkpoint in one file: a file, or a folder of one."""
    into = model_at(into)
    if os.path.isdir(into):
        ranked = ranked_weights(into)
        if not ranked or len(ranked[0]) != 1:
            why = "it holds no weights of one component" if not ranked else "it holds several"
            raise OptionError("into", into, why=why, hint="give the file of weights")
        return ranked[0][0]
    return weight_files(into)


def components_at(path: str) -> dict[str, WeightFiles]:
    """Files of weights by component; under an empty name where there is but one, whatever it holds."""
    path = model_at(path)
    if not is_pipeline(path):
        return {"": weights_at(path)}
    parts = read_pipeline(path).components
    return {
        name: part.weights for name, part in parts.items() if part.weights and name in COMPONENTS
    }


def spelled(
    opened: Opened, adapter: Adapter, tensors: dict[str, Expr], facts: Facts, into: str
) -> tuple[tuple[Delta, ...], Keys]:
    """The deltas as the base spells its modules, and how its names begin."""
    name = opened.detection.architecture
    architecture = ARCHITECTURES[name] if name else None
    layout = SINGLE_FILES.get(name or "")
    named = translate(adapter, architecture, "diffusers", facts)
    if layout is None or architecture is None:
        return named.deltas, partial(keys_of_pipeline, architecture)
    own = layout.named(architecture)
    native = translate(named, own, "native", facts).deltas

    def keys(delta: Delta) -> tuple[str, ...]:
        return layout.keys(delta.component, delta.module)

    if any(f"{start}weight" in tensors for delta in native for start in keys(delta)):
        return native, keys
    components = {delta.component for delta in named.deltas}
    if len(components) > 1:
        raise BaseMismatchError(into, [d.label for d in native])
    return named.deltas, partial(keys_of_pipeline, architecture)
