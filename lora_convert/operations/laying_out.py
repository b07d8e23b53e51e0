"""How a checkpoint's file would be compacted, to the byte, from headers alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.conversion.spelling import BASE
from lora_convert.errors import DestinationExistsError
from lora_convert.operations.frozen import Frozen, Match, matches
from lora_convert.planning import TensorFile
from lora_convert.storage.compacted import adapter_names
from lora_convert.storage.compacting import Elsewhere, adapter_segments, segments_of
from lora_convert.storage.recipes import UNKNOWN, Part, Recipe, Segment
from lora_convert.storage.writer import same_as_file
from lora_convert.tensors.source import Source

if TYPE_CHECKING:
    from lora_convert.operations.opening import Opened


class Laid(NamedTuple):
    """What stands in a file's place."""

    adapter: TensorFile | None
    """None where the file holds nothing but frozen tensors."""
    path: str
    """Of the adapter."""
    files: tuple[str, ...]
    """Of the base, those that are needed."""
    pairs: tuple[Match, ...]
    size: int
    """Bytes of the file."""

    def segments(self) -> tuple[Segment, ...]:
        """All bytes of the file; the adapter is the first part, the files of the base follow."""
        first = 1 if self.adapter else 0
        numbers = {number: first + at for at, number in enumerate(self._numbers)}
        places = [
            Elsewhere(
                own.start,
                Segment(numbers[base.file], base.start, own.size, pair.widened),
            )
            for pair in self.pairs
            for own, base in [(pair.own, pair.base)]
        ]
        if self.adapter:
            places += adapter_segments(self.adapter, 0)
        return segments_of(self.size, places)

    @property
    def _numbers(self) -> list[int]:
        return sorted({pair.base.file for pair in self.pairs})

    @property
    def kept(self) -> int:
        """Bytes that stand in the file's place, the base apart."""
        parts = tuple(Part(UNKNOWN, 0) for _ in range(len(self.files) + bool(self.adapter)))
        recipe = Recipe(self.size, UNKNOWN, 0, 0, parts, self.segments())
        adapter = self.adapter.size if self.adapter else 0
        return adapter + len(recipe.head()) + recipe.literals


def laid_out(opened: Opened, number: int, own: Frozen, base: Frozen) -> Laid:
    """The place of every byte of a checkpoint's file whose frozen tensors are a base's.

    `base` must match by names, shapes and dtypes; values are not looked at.
    """
    pairs = tuple(matches(own, base))
    used = sorted({pair.base.file for pair in pairs})
    files = tuple(base.files[at] for at in used)
    adapter = _adapter(opened, number)
    size = opened.checkpoint.files[number].size
    path = _adapter_path(opened, number, adapter) if adapter else ""
    return Laid(adapter, path, files, pairs, size)


def _adapter(opened: Opened, number: int) -> TensorFile | None:
    """The tensors of a file that are an adapter's, under the names they have there."""
    header, detection = opened.checkpoint.header, opened.detection
    tensors = {
        tensor.name: tensor
        for key, tensor in header.tensors.items()
        if isinstance(tensor, Source) and tensor.file == number
        if key in detection.foreign or _is_adapters(opened, key)
    }
    return TensorFile("", tensors, header.metadata) if tensors else None


def _is_adapters(opened: Opened, key: str) -> bool:
    reading = opened.detection.readings.get(key)
    return reading is not None and reading.role != BASE


def _adapter_path(opened: Opened, number: int, adapter: TensorFile) -> str:
    """The first name that is free, or has these very bytes: a run that was killed may have left it."""
    folder, name = os.path.split(opened.checkpoint.files[number].path)
    for path in (os.path.join(folder, one) for one in adapter_names(name)):
        if not os.path.lexists(path) or same_as_file(adapter, opened.checkpoint, path):
            return path
    raise DestinationExistsError(path, hint="move it away, then run the command again")
