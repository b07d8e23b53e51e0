"""The files that make up a pipeline: those of its base, and those that an adapter changes."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.grounding import grounded
from lora_convert.conversion.merge import keys_of_pipeline, merge
from lora_convert.conversion.shards import LAYOUTS, Layout, lay_out
from lora_convert.conversion.translate import translate
from lora_convert.conversion.wrapped import base_weights
from lora_convert.errors import BaseMismatchError, OptionError
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.joined import Joined, moved
from lora_convert.storage.linking import HOWS, How
from lora_convert.storage.pipelines import ComponentFolder, plain_name, read_pipeline
from lora_convert.storage.probe import ByteFacts
from lora_convert.tensors.build import cast
from lora_convert.tensors.dtypes import FLOATS, SHORT_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lora_convert.adapter import Adapter
    from lora_convert.architectures import Architecture
    from lora_convert.operations.bases import Base
    from lora_convert.operations.opening import Opened
    from lora_convert.planning import TensorFile, TextFile
    from lora_convert.tensors.expr import Expr


class Given(NamedTuple):
    """A file of the base that is taken as it is."""

    name: str
    """Relative to the pipeline's folder."""
    path: str
    size: int


class Piece(NamedTuple):
    """A file of a pipeline to be."""

    content: Given | TensorFile | TextFile
    common: bool
    """Whether other checkpoints of a run have the same."""


class Counts(NamedTuple):
    """Tensors of the components that an adapter touches."""

    merged: int
    untouched: int
    own: int
    """Of all, those that the checkpoint brings because they are not the base's."""


class Options(NamedTuple):
    """How a pipeline is made."""

    scale: float = 1.0
    """How many times the adapter is added."""
    dtype: str | None = None
    """``fp32``, ``fp16``, ``bf16``: of all weights; None and ``keep`` for the base's own."""
    layout: Layout = "split"
    link: How = "auto"
    config: str | None = None
    """A pipeline, folder or repository, that has what a base in one file lacks."""


def options_of(
    scale: float, dtype: str | None, layout: str, link: str, config: str | None = None
) -> Options:
    """Options from what users say; OptionError where one has a value it cannot have."""
    layouts, hows = {name: name for name in LAYOUTS}, {name: name for name in HOWS}
    if layout not in layouts:
        raise OptionError("layout", layout, choices=LAYOUTS)
    if link not in hows:
        raise OptionError("link", link, choices=HOWS)
    if dtype is not None and dtype not in SHORT_NAMES:
        raise OptionError("dtype", dtype, choices=tuple(SHORT_NAMES))
    if not isfinite(scale) or not scale:
        why = "" if scale else "the pipeline would be its base"
        raise OptionError("scale", scale, why=why, hint="for example --scale 0.8")
    return Options(scale, dtype, layouts[layout], hows[link], config)


class Builder(NamedTuple):
    """What the pieces of a pipeline are made from."""

    opened: Opened
    adapter: Adapter
    changed_by: str
    """The initialisation that changed the base of training, where one did."""
    base: Base
    options: Options
    closing: ExitStack

    def build(self) -> tuple[tuple[Piece, ...], Joined, Counts]:
        """All pieces, what they are read from, and how many tensors are changed."""
        pipeline = read_pipeline(self.base.path)
        missing = [
            name for name in self.adapter.components if not self._has(pipeline.components, name)
        ]
        if missing:
            modules = [d.label for d in self.adapter.deltas if d.component in missing]
            raise BaseMismatchError(self.base.name, modules)
        rewritten = {
            name: self.closing.enter_context(Checkpoint(part.weights))
            for name, part in pipeline.components.items()
            if part.weights and self._is_rewritten(part)
        }
        joined = Joined(self.opened.checkpoint, *rewritten.values())
        facts = ByteFacts(joined.read)
        named = translate(self.adapter, self._architecture, "diffusers", facts)
        own = base_weights(self.opened.checkpoint.header, self.opened.detection)
        pieces = [self._given(name, self.base.path) for name in pipeline.documents]
        merged, untouched, brought = 0, 0, 0
        first = len(self.opened.checkpoint.files)
        for name, part in pipeline.components.items():
            pieces += [self._given(f"{name}/{file}", part.folder, file) for file in part.documents]
            if name not in rewritten:
                pieces += self._as_they_are(part)
                continue
            weights: dict[str, Expr] = {
                key: moved(t, first) for key, t in rewritten[name].header.tensors.items()
            }
            first += len(rewritten[name].files)
            settled = self._settled(name, weights, own.get(name, {}), facts)
            deltas = tuple(delta for delta in named.deltas if delta.component == name)
            keys = partial(keys_of_pipeline, self._architecture)
            if self.changed_by and name not in own:
                changed_by, where = self.changed_by, part.folder
                deltas = grounded(weights, deltas, keys, changed_by=changed_by, where=where)
            tensors, changed = merge(
                settled, deltas, keys, strength=self.options.scale, where=part.folder
            )
            merged += len(changed)
            brought += sum(settled[key] is not weights[key] for key in weights)
            untouched += len(tensors) - len(changed) if changed else 0
            path = f"{name}/{plain_name(part.weights.path)}" if part.weights else ""
            laid = lay_out(path, self._cast(tensors), changed, self.options.layout)
            pieces += [Piece(file, common) for file, common in laid]
        return tuple(pieces), joined, Counts(merged, untouched, brought)

    @property
    def _architecture(self) -> Architecture | None:
        name = self.opened.detection.architecture
        return ARCHITECTURES[name] if name else None

    def _has(self, components: Mapping[str, ComponentFolder], name: str) -> bool:
        return name in components and components[name].weights is not None

    def _is_rewritten(self, part: ComponentFolder) -> bool:
        """Whether the weights are not the base's files: changed, of another dtype, or torch's."""
        files = part.weights.files if part.weights else ()
        torch = any(not file.endswith(".safetensors") for file in files)
        return part.name in self.adapter.components or torch or self._dtype is not None

    @property
    def _dtype(self) -> str | None:
        return SHORT_NAMES[self.options.dtype or "keep"]

    def _given(self, name: str, folder: str, file: str = "") -> Piece:
        path = os.path.join(folder, file or name)
        return Piece(Given(name, path, os.path.getsize(path)), True)

    def _as_they_are(self, part: ComponentFolder) -> Iterator[Piece]:
        for file in part.weights.files if part.weights else ():
            alone = part.weights is not None and part.weights.path == file
            name = plain_name(file) if alone else os.path.basename(file)
            yield Piece(Given(f"{part.name}/{name}", file, os.path.getsize(file)), True)
        if part.weights and part.weights.path not in part.weights.files:
            index = os.path.basename(part.weights.path)
            yield self._given(f"{part.name}/{index}", part.folder, index)

    def _settled(
        self, name: str, weights: dict[str, Expr], own: Mapping[str, Expr], facts: ByteFacts
    ) -> dict[str, Expr]:
        """The weights to merge into: the checkpoint's own, where it has them.

        Where they are the base's, byte for byte, the base's are taken, so that others can share them.
        """
        if not own:
            return weights
        missing = sorted(weights.keys() ^ own.keys())
        missing = [key for key in missing if not key.endswith("position_ids")]
        if missing:
            raise BaseMismatchError(f"{self.base.name}/{name}", missing)
        return {
            key: tensor if key not in own or facts.same(tensor, own[key]) else own[key]
            for key, tensor in weights.items()
        }

    def _cast(self, tensors: Mapping[str, Expr]) -> dict[str, Expr]:
        if self._dtype is None:
            return dict(tensors)
        return {
            name: cast(tensor, self._dtype) if tensor.dtype in FLOATS else tensor
            for name, tensor in tensors.items()
        }
