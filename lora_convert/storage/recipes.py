"""Recipes: where each byte of a compacted file is.

A recipe is a safetensors file: the list in its metadata, and the bytes that are nowhere else as its one
tensor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from lora_convert.errors import CorruptCheckpointError
from lora_convert.planning import TensorFile
from lora_convert.storage.compacted import ADAPTER, recipe_of
from lora_convert.storage.files import SourceFile
from lora_convert.storage.folders import is_plain
from lora_convert.storage.hashes import is_hash
from lora_convert.storage.safetensors import read_header
from lora_convert.tensors.source import Source

_KEY = "lora_convert.recipe"
_LITERALS = "literals"
_VERSION = 1
_MOST_SEGMENTS = 1_000_000
_LARGEST = 1 << 53
"""Bytes of a file: what JSON readers elsewhere hold exactly."""
WIDENED = ("F16", "BF16")
"""Dtypes of which a segment may be the widening to F32, which is exact."""


UNKNOWN = "0" * 64
"""Stands for a digest until it is known; as long as one."""


class Part(NamedTuple):
    """A file that a compacted one is rebuilt from."""

    digest: str
    """Its SHA-256."""
    size: int
    beside: str = ""
    """Its name in the recipe's own folder; empty for one of the store."""


class Segment(NamedTuple):
    """Consecutive bytes of the file, and where they are."""

    part: int
    """Index among the parts; -1 for the recipe's own bytes."""
    start: int
    """Of the first byte that is read, in the part; of the first own byte."""
    size: int
    """Bytes that are made."""
    widened: str = ""
    """The dtype of the part's elements, of which this is the widening to F32; empty for the same bytes."""

    @property
    def read(self) -> int:
        """Bytes that are read for it."""
        return self.size // 2 if self.widened else self.size


class Recipe(NamedTuple):
    """How a file is rebuilt: its segments in order, and what it was."""

    size: int
    digest: str
    """SHA-256 of the whole file."""
    mode: int
    mtime_ns: int
    parts: tuple[Part, ...]
    segments: tuple[Segment, ...]

    @property
    def literals(self) -> int:
        """Bytes that the recipe itself holds."""
        return sum(segment.size for segment in self.segments if segment.part < 0)

    def head(self) -> bytes:
        """A recipe file's bytes before its literals."""
        listed = {**self._asdict(), "version": _VERSION}
        listed["segments"] = [[*one] if one.widened else [*one[:3]] for one in self.segments]
        text = json.dumps(listed, separators=(",", ":"))
        literals = Source(0, _LITERALS, "U8", (self.literals,), 0, self.literals)
        return TensorFile("", {_LITERALS: literals}, {_KEY: text}).head()


def joined(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Segments with neighbours put together that are neighbours in their part too."""
    last: Segment | None = None
    for one in segments:
        if (
            last
            and (last.part, last.widened) == (one.part, one.widened)
            and last.start + last.read == one.start
        ):
            last = last._replace(size=last.size + one.size)
            continue
        if last:
            yield last
        last = one
    if last:
        yield last


def status_of(path: str) -> tuple[int, int]:
    """Size and time of change, in nanoseconds, of a file; of a compacted one those that it had.

    OSError where there is neither, CorruptCheckpointError where the recipe is broken.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if not os.path.isfile(recipe_of(path)):
            raise
        with closing(SourceFile(recipe_of(path))) as file:
            recipe, _ = read_recipe(file)
        return recipe.size, recipe.mtime_ns
    return status.st_size, status.st_mtime_ns


def read_recipe(file: SourceFile) -> tuple[Recipe, int]:
    """A recipe, and where its own bytes begin; CorruptCheckpointError where it is none, or impossible."""
    tensors, metadata = read_header(file, 0)
    literals = tensors.get(_LITERALS)
    if _KEY not in metadata or literals is None or len(tensors) != 1 or literals.dtype != "U8":
        raise _broken(file.path, "is no recipe of a compacted file")
    try:
        found = _parsed(json.loads(metadata[_KEY]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        found = None
    if found is None or not _is_possible(found, literals.size):
        raise _broken(file.path, "is not as this version writes recipes")
    return found, literals.start


def _parsed(data: Any) -> Recipe:
    if data.pop("version") != _VERSION or len(data["segments"]) > _MOST_SEGMENTS:
        raise ValueError
    parts = tuple(Part(*one) for one in data.pop("parts"))
    segments = tuple(Segment(*one) for one in data.pop("segments"))
    return Recipe(**data, parts=parts, segments=segments)


def _is_possible(recipe: Recipe, literals: int) -> bool:
    counts = [recipe.size, *(part.size for part in recipe.parts)]
    digests = [recipe.digest, *(part.digest for part in recipe.parts)]
    return (
        type(recipe.mode) is int
        and recipe.mode in range(0o1000)
        and all(type(count) is int and 0 <= count < _LARGEST for count in counts)
        and type(recipe.mtime_ns) is int
        and all(map(is_hash, digests))
        and all(_is_beside(part.beside) for part in recipe.parts)
        and all(_is_inside(segment, recipe.parts, literals) for segment in recipe.segments)
        and sum(segment.size for segment in recipe.segments) == recipe.size
    )


def _is_beside(name: object) -> bool:
    return name == "" or (isinstance(name, str) and name.endswith(ADAPTER) and is_plain(name))


def _is_inside(segment: Segment, parts: tuple[Part, ...], literals: int) -> bool:
    numbers = (segment.part, segment.start, segment.size)
    if not all(type(number) is int for number in numbers) or segment.size <= 0 or segment.start < 0:
        return False
    if segment.part < 0:
        return segment.start + segment.size <= literals and not segment.widened
    if segment.part >= len(parts) or segment.widened not in ("", *WIDENED):
        return False
    whole = not segment.widened or segment.size % 4 == 0
    return whole and segment.start + segment.read <= parts[segment.part].size


def _broken(path: str, problem: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(path, problem, hint="get the file again that it stands for")
