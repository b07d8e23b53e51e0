"""A compacted file, read as if it were whole."""

from __future__ import annotations

import os
from bisect import bisect_right
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.storage.atomic import settle
from lora_convert.storage.compacted import BASES, recipe_of
from lora_convert.storage.files import SourceFile
from lora_convert.storage.hashes import hash_of
from lora_convert.storage.recipes import Part, Recipe, Segment, read_recipe
from lora_convert.storage.store import find

if TYPE_CHECKING:
    from collections.abc import Sequence

_PARENTS = 4
"""Folders above a compacted file in which its bases are looked for."""


class RebuiltFile(SourceFile):
    """The file that a recipe stands for: read by position, from where its bytes are now.

    It has no descriptor: nothing is mapped, cloned or copied by the kernel.
    """

    def __init__(
        self, path: str, recipe: Recipe, own: SourceFile, at: int, parts: Sequence[str]
    ) -> None:
        """`own` is the open recipe file, whose own bytes begin `at`; it is closed with this.

        `parts` are where the recipe's parts are.
        """
        self.path = path
        self.recipe = recipe
        self.size = recipe.size
        self.digest = recipe.digest
        self.descriptor = -1
        self._own = own
        self._at = at
        self._ends = [*accumulate(segment.size for segment in recipe.segments)]
        self._parts: list[SourceFile] = []
        try:
            for place in parts:
                self._parts.append(SourceFile(place))
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(cls, path: str) -> RebuiltFile:
        """The compacted file at `path`, where only its recipe is.

        CheckpointNotFoundError where that is not there either; CorruptCheckpointError where what it is
        rebuilt from is not.
        """
        try:
            own = SourceFile(recipe_of(path))
        except CheckpointNotFoundError as error:
            raise CheckpointNotFoundError(path) from error
        try:
            recipe, at = read_recipe(own)
            places = [place_of(path, part) for part in recipe.parts]
        except BaseException:
            own.close()
            raise
        return cls(path, recipe, own, at, places)

    def close(self) -> None:
        """Close all files that it is read from."""
        for file in (self._own, *self._parts):
            file.close()

    def read(self, start: int, size: int) -> bytes:
        """Exactly `size` bytes from `start`; CorruptCheckpointError where a part has been cut."""
        if start + size > self.size:
            raise CorruptCheckpointError(self.path, f"ends at byte {self.size:,}")
        pieces = []
        number = bisect_right(self._ends, start)
        while size > 0:
            segment = self.recipe.segments[number]
            inside = start - (self._ends[number] - segment.size)
            count = min(size, segment.size - inside)
            pieces.append(self._piece(segment, inside, count))
            start, size, number = start + count, size - count, number + 1
        return b"".join(pieces)

    def _piece(self, segment: Segment, inside: int, size: int) -> bytes:
        if segment.part < 0:
            return self._own.read(self._at + segment.start + inside, size)
        part = self._parts[segment.part]
        if not segment.widened:
            return part.read(segment.start + inside, size)
        first, last = inside // 4, -(-(inside + size) // 4)
        data = part.read(segment.start + 2 * first, 2 * (last - first))
        skipped = inside - 4 * first
        return widened(data, segment.widened)[skipped : skipped + size]

    @property
    def beside(self) -> list[str]:
        """Paths of the parts that lie beside the recipe."""
        folder = os.path.dirname(self.path)
        return [os.path.join(folder, p.beside) for p in self.recipe.parts if p.beside]

    def segment_at(self, place: int) -> Segment:
        """The segment that a byte is in."""
        return self.recipe.segments[bisect_right(self._ends, place)]

    def check_unchanged(self) -> None:
        """Raise CorruptCheckpointError where what it is read from changed since it was opened."""
        for file in (self._own, *self._parts):
            file.check_unchanged()

    def settle(self) -> None:
        """Bring all that it is read from to the disk: a run that was killed may have left that undone."""
        for file in (*self._parts, self._own):
            settle(file.path)

    def is_at(self, path: str) -> bool:
        """Whether `path` is the file that this stands for, or one that it is read from."""
        if os.path.realpath(path) == os.path.realpath(self.path):
            return True
        return self._own.is_at(path) or any(part.is_at(path) for part in self._parts)


def place_of(path: str, part: Part) -> str:
    """Where a part of a compacted file is; CorruptCheckpointError where it is not, or is another.

    What lies beside the recipe is small, and could have been edited: it is hashed.
    """
    if not part.beside:
        return _in_store(path, part)
    place = os.path.join(os.path.dirname(path), part.beside)
    try:
        file = SourceFile(place)
    except CheckpointNotFoundError as error:
        raise CorruptCheckpointError(path, f"its adapter {part.beside!r} is not there") from error
    try:
        if file.size != part.size or hash_of(file) != part.digest:
            problem = f"its adapter {part.beside!r} is not the one that was taken from it"
            raise CorruptCheckpointError(path, problem, hint="undo what was changed in that")
    finally:
        file.close()
    return place


def _in_store(path: str, part: Part) -> str:
    for folder in folders_of_bases(path):
        entry = find(folder, part.digest, part.size)
        if entry:
            return entry.path
    raise CorruptCheckpointError(
        path,
        f"was compacted, and its base {part.digest[:16]}… is not in {BASES}",
        hint=f"put {BASES} back, or: lora-convert restore CHECKPOINT --base BASE",
    )


def folders_of_bases(path: str) -> Sequence[str]:
    """Where the bases of a compacted file may be, the nearest first."""
    folder, found = os.path.realpath(os.path.dirname(path) or "."), []
    for _ in range(_PARENTS):
        found.append(os.path.join(folder, BASES))
        folder = os.path.dirname(folder)
    return [place for place in found if os.path.isdir(place)]


def widened(data: bytes, dtype: str) -> bytes:
    """Elements of F16 or BF16 as F32 holds them: the same numbers, and of a NaN the same bits."""
    import numpy as np

    halves = np.frombuffer(data, "<u2")
    if dtype == "BF16":
        return (halves.astype("<u4") << 16).tobytes()
    found: bytes = _table()[halves].tobytes()
    return found


@cache
def _table() -> Any:
    """F32 of every F16; NaNs by their bits, as processors differ in what becomes of those."""
    import numpy as np

    halves = np.arange(1 << 16, dtype="<u2")
    table = halves.view("<f2").astype("<f4").view("<u4").copy()
    bits = halves.astype("<u4")
    nans = (bits & 0x7C00 == 0x7C00) & (bits & 0x3FF != 0)
    table[nans] = ((bits & 0x8000) << 16 | 0x7F800000 | (bits & 0x3FF) << 13)[nans]
    return table
