"""A complete Diffusers pipeline from a checkpoint and its base."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from lora_convert.operations.bases import OPTION, Base, base_of
from lora_convert.operations.opening import Opened, open_adapter
from lora_convert.operations.pieces import Builder, Counts, Options, Piece
from lora_convert.operations.reading import notes_on_effect, read_adapter_of

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter
    from lora_convert.storage.joined import Joined


class PipelinePlan:
    """A pipeline worked out to the byte. Holds its sources open until it is closed."""

    def __init__(
        self,
        opened: Opened,
        adapter: Adapter,
        base: Base,
        joined: Joined,
        pieces: tuple[Piece, ...],
        counts: Counts,
        notes: tuple[str, ...],
        output: str,
        options: Options,
        closing: ExitStack,
    ) -> None:
        self.opened = opened
        self.adapter = adapter
        self.base = base
        self.joined = joined
        self.pieces = pieces
        self.counts = counts
        self.notes = notes
        self.output = output
        self.options = options
        self._closing = closing

    @property
    def size(self) -> int:
        """Bytes of the whole pipeline, however its files are placed."""
        return sum(piece.content.size for piece in self.pieces)

    @property
    def own_size(self) -> int:
        """Bytes that no other checkpoint of the run has."""
        return sum(piece.content.size for piece in self.pieces if not piece.common)

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {
            "source": self.opened.checkpoint.path,
            "from": self.opened.detection.format,
            "architecture": self.opened.detection.architecture,
            "base": self.base.name,
            "base_from": self.base.source,
            "output": self.output,
            "files": [piece.content.name for piece in self.pieces],
            "bytes": self.size,
            "own_bytes": self.own_size,
            "modules": len(self.adapter.deltas),
            "merged": self.counts.merged,
            "untouched": self.counts.untouched,
            "notes": list(self.notes),
        }

    def close(self) -> None:
        """Close all sources."""
        self._closing.close()

    def __enter__(self) -> PipelinePlan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def plan_pipeline(
    source: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    base: str | None = None,
    base_from: str = OPTION,
    options: Options = Options(),  # noqa: B008 - a value
    scale_from: str | None = None,
    adapter: str | None = None,
    component: str | None = None,
    architecture: str | None = None,
) -> PipelinePlan:
    """Work out the pipeline that `base`, which `base_from` named, and the adapter in `source` make.

    Where `source` holds a whole wrapped model, its own frozen weights are merged into, and must be the
    base's by name. BaseMismatchError and ShapeError where any module of the adapter finds no weight of its
    shape: a pipeline that leaves a part of it out cannot be planned.
    """
    with ExitStack() as closing:
        opened = open_adapter(os.fspath(source), architecture=architecture, component=component)
        closing.callback(opened.checkpoint.close)
        closing.enter_context(opened.naming())
        told = read_adapter_of(opened, wanted=adapter, scale_from=scale_from, base_counts=True)
        found = told.adapter
        notes = (*told.told, *notes_on_effect(found, opened.checkpoint.read))
        where = base_of(found, opened.checkpoint.path, base, base_from, config=options.config)
        pieces, joined, counts = Builder(
            opened, found, told.changed_by, where, options, closing
        ).build()
        return PipelinePlan(
            opened,
            found,
            where,
            joined,
            pieces,
            counts,
            notes,
            os.fspath(output),
            options,
            closing.pop_all(),
        )
    raise AssertionError  # the stack swallows nothing
