"""Load a checkpoint into a model with adapters: all of it, or an error that says what does not fit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import (
    AmbiguousCheckpointError,
    CheckpointNotFoundError,
    ModelMismatchError,
    UnsafePickleError,
)
from lora_convert.operations.adapter_configs import check_scales
from lora_convert.operations.addresses import resolved
from lora_convert.operations.checkpoint_files import (
    ADAPTER,
    DEFAULT,
    OPTIMIZER,
    OPTIMIZER_KEY,
    PAYLOADS,
    SCHEDULER,
    SCHEDULER_KEY,
    STATE,
)
from lora_convert.operations.live_models import LiveModel, canonical
from lora_convert.operations.live_tensors import read_tensor
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.compacted import exists
from lora_convert.storage.documents import read_document
from lora_convert.storage.folders import (
    names_in,
    ranked_weights,
    subfolders_with_weights,
    weight_files,
)
from lora_convert.storage.states import read_state

if TYPE_CHECKING:
    from torch.nn import Module

    from lora_convert.storage.folders import WeightFiles
    from lora_convert.tensors.expr import Stored

_SHOWN = 3


class Mismatch(NamedTuple):
    """A tensor that has one shape in the model and another in the checkpoint."""

    name: str
    """In the model."""
    model: tuple[int, ...]
    checkpoint: tuple[int, ...]


class LoadReport(NamedTuple):
    """What came of loading a checkpoint."""

    loaded: tuple[str, ...]
    """Names in the model of the tensors that were set."""
    missing: tuple[str, ...]
    """Names in the model that the checkpoint has not: of adapters, or of all where it holds a whole model."""
    unexpected: tuple[str, ...]
    """Names in the checkpoint for which the model has no place."""
    mismatched: tuple[Mismatch, ...]
    epoch: int | None
    step: int | None
    metadata: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return {**self._asdict(), "mismatched": [one._asdict() for one in self.mismatched]}


def load_checkpoint(
    path: str | os.PathLike[str],
    model: Module,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    strict: bool = True,
) -> LoadReport:
    """Load adapters, or a whole model, into a model that has the same; and the states of what else is given.

    Takes what `save_checkpoint` writes, PEFT's folders, checkpoints of Accelerate, files of torch's with a
    ``model_state_dict`` and the like, and addresses of runs (``RUN@500``). Names of adapters are kept; a file
    without names is of the adapter "default", or where there is none of the active one. Everything is read on
    the CPU, and compared, before the model is changed. Which adapters are active stays as it is.

    ModelMismatchError, with the model as it was, where nothing fits; unless `strict` is false, where anything
    is missing, unexpected, of another shape, or of another alpha; and where a state is that of another
    optimizer.
    CheckpointNotFoundError where a state is asked for that the checkpoint has not.
    """
    path = resolved(os.fspath(path))
    live, states = LiveModel(model), _States(path)
    with ExitStack() as closing:
        found = _Found(path, live, closing)
        report = found.report(states.told())
        _check(report, path, live, strict=strict)
        if strict:
            check_scales(path, live)
        tensors = {
            name: read_tensor(stored, one.read) for name, (stored, one) in found.fitting.items()
        }
        for checkpoint in found.checkpoints:
            checkpoint.check_unchanged()
    given = ((optimizer, OPTIMIZER, OPTIMIZER_KEY), (scheduler, SCHEDULER, SCHEDULER_KEY))
    wanted = [(one, states.state(name, key), key) for one, name, key in given if one is not None]
    for one, state, key in wanted:
        _set_state(one, state, path, key)
    live.set(tensors)
    return report


class _Found:
    """A checkpoint's tensors, held against a model's."""

    def __init__(self, path: str, live: LiveModel, closing: ExitStack) -> None:
        self.live = live
        self.checkpoints: list[Checkpoint] = []
        self.fitting: dict[str, tuple[Stored, Checkpoint]] = {}
        self.unexpected: list[str] = []
        self.mismatched: list[Mismatch] = []
        for adapter, weights in weights_by_adapter(path):
            checkpoint = closing.enter_context(Checkpoint(weights))
            self.checkpoints.append(checkpoint)
            checkpoint.check_all_sums()
            places = self._places(adapter)
            for key, stored in checkpoint.header.tensors.items():
                if not self._fit(key, stored, checkpoint, places):
                    self.unexpected.append(f"{adapter}/{key}" if adapter else key)

    def _places(self, adapter: str) -> dict[str, str]:
        """Where names lead in the model: the model's own, and those of a file of this adapter."""
        live = self.live
        if not adapter:
            active = live.active
            adapter = DEFAULT if DEFAULT in live.adapters else active[0] if active else ""
        return {**live.names, **live.adapters.get(adapter, {})}

    def _fit(
        self, key: str, stored: Stored, checkpoint: Checkpoint, places: Mapping[str, str]
    ) -> bool:
        """Put a tensor where it belongs; whether it belongs anywhere."""
        plain = canonical(key)
        name = places.get(plain) or places.get(plain.removeprefix("module."))
        if name is None or name in self.fitting:
            return False
        shape = tuple(self.live.state[name].shape)
        if shape == tuple(stored.shape):
            self.fitting[name] = (stored, checkpoint)
        else:
            self.mismatched.append(Mismatch(name, shape, tuple(stored.shape)))
        return True

    def report(self, told: Mapping[str, Any]) -> LoadReport:
        """What would come of loading it."""
        live = self.live
        own = {name for names in live.adapters.values() for name in names.values()}
        known = {*self.fitting, *(one.name for one in self.mismatched)}
        wanted = live.state if not own or known - own else own
        return LoadReport(
            tuple(self.fitting),
            tuple(name for name in live.state if name in wanted and name not in known),
            tuple(self.unexpected),
            tuple(self.mismatched),
            told.get("epoch"),
            told.get("step"),
            told.get("metadata") or {},
        )


def weights_by_adapter(path: str) -> Iterator[tuple[str, WeightFiles]]:
    """The weights of a checkpoint, by the adapter that their folder is named after; else under no name.

    CheckpointNotFoundError where there are none.
    """
    if not exists(path):
        raise CheckpointNotFoundError(path)
    if not os.path.isdir(path):
        yield "", weight_files(path)
        return
    ranked = ranked_weights(path)
    inner = [folder for folder in subfolders_with_weights(path) if ADAPTER in names_in(folder)]
    if ranked and len(ranked[0]) > 1:
        choices = [os.path.basename(one.path) for one in ranked[0]]
        hint = "give the file instead of the folder"
        raise AmbiguousCheckpointError(f"{path}: holds several weights", choices=choices, hint=hint)
    if ranked:
        yield "", ranked[0][0]
    if not ranked or os.path.basename(ranked[0][0].path) == ADAPTER:
        for folder in inner:
            yield os.path.basename(folder), weight_files(os.path.join(folder, ADAPTER))
    if not ranked and not inner:
        raise CheckpointNotFoundError(
            path, f"{path}: holds no weights", hint="give the folder of a checkpoint"
        )


def _check(report: LoadReport, path: str, live: LiveModel, *, strict: bool) -> None:
    """Raise ModelMismatchError where a report is not to be accepted."""
    problems = (*report.missing, *report.unexpected, *report.mismatched)
    if report.loaded and not (strict and problems):
        return
    counts = (
        (len(report.missing), "missing from it", report.missing),
        (len(report.unexpected), "unexpected in it", report.unexpected),
        (len(report.mismatched), "of another shape", [_shapes(one) for one in report.mismatched]),
    )
    said = ", ".join(f"{count} {word}" for count, word, _ in counts if count)
    examples = "; ".join(f"{word}: {_few(names)}" for count, word, names in counts if count)
    adapters = ", ".join(live.adapters) or "none"
    loose = "strict=False loads what fits; " if report.loaded else ""
    raise ModelMismatchError(
        f"{path}: {len(report.loaded)} of its tensors fit the model, {said}; nothing was loaded",
        missing=report.missing,
        unexpected=report.unexpected,
        mismatched=[one.name for one in report.mismatched],
        why=examples,
        hint=f"{loose}the model's adapters are: {adapters}; lora-convert inspect shows the checkpoint's",
    )


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} …" if len(names) > _SHOWN else shown


def _shapes(one: Mismatch) -> str:
    return f"{one.name} is {list(one.checkpoint)}, in the model {list(one.model)}"


class _States:
    """What lies beside a checkpoint's weights; of one file of torch's it is read once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._in_file = not os.path.isdir(path) and path.endswith((*PAYLOADS, ".bin", ".ckpt"))

    @cached_property
    def _payload(self) -> Mapping[str, Any]:
        return _mapping(read_state(self.path))

    def told(self) -> Mapping[str, Any]:
        """Epoch, step and metadata, where the checkpoint has them."""
        if self._in_file:
            try:
                return self._payload
            except UnsafePickleError:  # its weights can be read all the same
                return {}
        place = os.path.join(self.path, STATE)
        return _mapping(read_document(place)) if os.path.isfile(place) else {}

    def state(self, name: str, key: str) -> Any:
        """That of an optimizer or scheduler; CheckpointNotFoundError where it is not there."""
        if not self._in_file:
            return read_state(os.path.join(self.path, name))
        if key not in self._payload:
            hint = "load it without that"
            raise CheckpointNotFoundError(self.path, f"{self.path}: has no {key}", hint=hint)
        return self._payload[key]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _set_state(one: Any, state: Any, path: str, key: str) -> None:
    try:
        one.load_state_dict(state)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        what = f"{path}: its {key} is that of another {type(one).__name__}; no weights were loaded"
        hint = "make it of the same parameters, in the same order, as when it was saved"
        raise ModelMismatchError(what, why=str(error), hint=hint) from error
