"""The frozen tensors of checkpoints, and the bases that hold the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lora_convert.conversion.wrapped import base_weights
from lora_convert.errors import InputError
from lora_convert.planning import TensorFile
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.compacted import BASES
from lora_convert.storage.files import SourceFile
from lora_convert.storage.folders import weight_files
from lora_convert.storage.pipelines import read_pipeline
from lora_convert.storage.rebuilt import widened
from lora_convert.storage.recipes import WIDENED
from lora_convert.storage.store import entries
from lora_convert.tensors.source import Source

if TYPE_CHECKING:
    from lora_convert.operations.opening import Opened

Key: TypeAlias = tuple[str, str]
"""A component's name, empty where a base has only one, and a tensor's own."""
_SAMPLES = 32
"""Tensors that are looked at before a base is chosen; all are compared before anything goes."""
_SAMPLED = 4096
"""Bytes of each, from its beginning."""
_SHOWN = 16
"""Digits of a digest that people are shown."""
_OPTIONAL = "position_ids"
"""Ending of names that some versions of transformers keep and others do not."""


class Frozen(NamedTuple):
    """Tensors that checkpoints may have in common, and the files they lie in."""

    name: str
    files: tuple[str, ...]
    tensors: Mapping[Key, Source]
    """Each with the number of its file."""


class Match(NamedTuple):
    """A frozen tensor of a checkpoint, and the same of a base."""

    own: Source
    base: Source

    @property
    def widened(self) -> str:
        """The dtype that the base has it in, where that is narrower."""
        return self.base.dtype if self.base.dtype != self.own.dtype else ""


def frozen_of(opened: Opened) -> Frozen:
    """The frozen tensors of a checkpoint; none where it holds only an adapter, or nothing known."""
    if opened.detection.format is None:
        return Frozen(opened.checkpoint.path, (), {})
    found = base_weights(opened.checkpoint.header, opened.detection)
    tensors = {
        (component, name): tensor
        for component, weights in found.items()
        for name, tensor in weights.items()
        if isinstance(tensor, Source)
    }
    files = tuple(file.path for file in opened.checkpoint.files)
    return Frozen(opened.checkpoint.path, files, tensors)


def of_file(own: Frozen, number: int) -> Frozen:
    """Of frozen tensors those that lie in one file."""
    return own._replace(tensors={key: t for key, t in own.tensors.items() if t.file == number})


def as_file(own: Frozen) -> TensorFile:
    """Frozen tensors as a file of weights, in the model's own names where it is one model."""
    several = len({component for component, _ in own.tensors}) > 1
    named = {
        f"{component}/{name}" if several else name: tensor
        for (component, name), tensor in own.tensors.items()
    }
    return TensorFile("base", named, {"format": "pt"})


def frozen_of_pipeline(path: str, name: str) -> Frozen:
    """All weights of a pipeline. Errors as of `read_pipeline` and `Checkpoint`."""
    files: list[str] = []
    tensors: dict[Key, Source] = {}
    for component, part in read_pipeline(path).components.items():
        if part.weights:
            with Checkpoint(part.weights) as weights:
                for key, tensor in weights.header.tensors.items():
                    if isinstance(tensor, Source):
                        moved = tensor._replace(file=tensor.file + len(files))
                        tensors[component, key] = moved
                files += [file.path for file in weights.files]
    return Frozen(name, tuple(files), tensors)


def frozen_in_store(folder: str) -> Iterator[Frozen]:
    """The bases that a store holds; entries that are no weights are passed over."""
    for entry in entries(folder):
        try:
            with Checkpoint(weight_files(entry.path)) as weights:
                sources = weights.header.tensors.items()
                tensors = {_key(k): t for k, t in sources if isinstance(t, Source)}
        except InputError:
            continue
        yield Frozen(f"{BASES}/{entry.digest[:_SHOWN]}…", (entry.path,), tensors)


def _key(name: str) -> Key:
    component, _, rest = name.rpartition("/")
    return component, rest


def matches(own: Frozen, base: Frozen) -> list[Match]:
    """Every frozen tensor with the base's of its name; none at all where one has no such.

    A base's may be narrower where all its values are exact in the wider dtype. Values are not looked at.
    """
    found = []
    for (component, name), tensor in own.tensors.items():
        other = base.tensors.get((component, name)) or base.tensors.get(("", name))
        if other and _alike(tensor, other):
            found.append(Match(tensor, other))
        elif not name.endswith(_OPTIONAL):
            return []
    return found


def _alike(own: Source, base: Source) -> bool:
    wider = own.dtype == "F32" and base.dtype in WIDENED
    return own.shape == base.shape and (own.dtype == base.dtype or wider)


def agrees(own: Frozen, base: Frozen) -> bool:
    """Whether the names fit, and the bytes that are looked at first."""
    pairs = matches(own, base)
    return bool(pairs) and all(
        _sample_agrees(own, base, pair) for pair in pairs[:: len(pairs) // _SAMPLES + 1]
    )


def _sample_agrees(own: Frozen, base: Frozen, pair: Match) -> bool:
    size = min(_SAMPLED, pair.own.size)
    wanted = _beginning(own.files[pair.own.file], pair.own, size)
    if pair.widened:
        half = _beginning(base.files[pair.base.file], pair.base, size // 2)
        return widened(half, pair.widened) == wanted
    return _beginning(base.files[pair.base.file], pair.base, size) == wanted


def _beginning(path: str, tensor: Source, size: int) -> bytes:
    with closing(SourceFile(os.path.realpath(path))) as file:
        return file.read(tensor.start, size)
