"""Writing what stands in the place of a compacted file, and proving that it rebuilds the file."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import VerificationError
from lora_convert.storage.atomic import staged_file, sync
from lora_convert.storage.compacted import recipe_of
from lora_convert.storage.files import BLOCK, SourceFile
from lora_convert.storage.flushing import Flushing
from lora_convert.storage.hashes import hash_written
from lora_convert.storage.positions import write_at
from lora_convert.storage.rebuilt import RebuiltFile
from lora_convert.storage.recipes import UNKNOWN, Part, Recipe, Segment, joined, read_recipe
from lora_convert.storage.writer import check_written, write_tensor_file

if TYPE_CHECKING:
    from lora_convert.planning import TensorFile
    from lora_convert.storage.atomic import Staged
    from lora_convert.storage.joined import OpenFiles
    from lora_convert.tensors.source import Source


class Elsewhere(NamedTuple):
    """A tensor of a file whose bytes are, or can be made of, those of a part."""

    at: int
    """Where it begins in the file."""
    segment: Segment


class Difference(NamedTuple):
    """The first byte of a file that its recipe would not rebuild."""

    at: int
    segment: Segment


def segments_of(size: int, elsewhere: Iterable[Elsewhere]) -> tuple[Segment, ...]:
    """Segments of a file of `size` bytes: what is elsewhere, and literal bytes between.

    Tensors that share bytes count once.
    """
    return tuple(joined(_in_order(size, elsewhere)))


def _in_order(size: int, elsewhere: Iterable[Elsewhere]) -> Iterator[Segment]:
    at, literal = 0, 0
    for one in sorted(elsewhere):
        if one.at < at or not one.segment.size:
            continue
        if one.at > at:
            yield Segment(-1, literal, one.at - at)
            literal += one.at - at
        yield one.segment
        at = one.at + one.segment.size
    if at < size:
        yield Segment(-1, literal, size - at)


def adapter_segments(adapter: TensorFile, part: int) -> Iterator[Elsewhere]:
    """Where the tensors of a file are in the adapter that is made of them, as it is written."""
    head = len(adapter.head())
    for _, expr, offset, size in adapter.layout():
        source: Source = expr  # type: ignore[assignment]  # an adapter is made of nothing else
        yield Elsewhere(source.start, Segment(part, head + offset, size))


@contextlib.contextmanager
def written_adapter(
    path: str, adapter: TensorFile, checkpoint: OpenFiles
) -> Iterator[tuple[Staged, Part]]:
    """An adapter on the disk, under a temporary name, that is to become `path`."""
    with staged_file(path, adapter.size) as (descriptor, staged):
        written = write_tensor_file(descriptor, adapter, checkpoint, lambda done: None)
        with Flushing(descriptor):
            check_written(descriptor, path, written, checkpoint, data=True)
            digest = hash_written(descriptor)
        yield staged, Part(digest, adapter.size, os.path.basename(path))


class Proven(NamedTuple):
    """A recipe on the disk, under a temporary name, that has rebuilt its file."""

    staged: Staged
    recipe: Recipe


@contextlib.contextmanager
def proven_recipe(
    source: SourceFile,
    parts: Iterable[tuple[Part, str]],
    segments: tuple[Segment, ...],
    progress: Callable[[int], None],
) -> Iterator[Proven | Difference]:
    """The recipe of a file, written and read back, whose rebuilt bytes are the file's, each of them.

    `parts` come with the paths at which they are now. Where the bytes differ, the first difference.
    """
    parts = [*parts]
    status = os.fstat(source.descriptor)
    recipe = Recipe(
        source.size,
        UNKNOWN,
        status.st_mode & 0o777,
        status.st_mtime_ns,
        tuple(part for part, _ in parts),
        segments,
    )
    head = recipe.head()
    path = recipe_of(source.path)
    with staged_file(path, len(head) + recipe.literals) as (descriptor, staged):
        write_at(descriptor, head, 0)
        _write_literals(descriptor, len(head), source, segments)
        own = SourceFile(staged.path)
        rebuilt = RebuiltFile(source.path, recipe, own, len(head), [p for _, p in parts])
        with contextlib.closing(rebuilt):
            found = _compared(rebuilt, source, progress)
        source.check_unchanged()
        if isinstance(found, int):
            yield Difference(found, rebuilt.segment_at(found))
            return
        recipe = recipe._replace(digest=found)
        write_at(descriptor, recipe.head(), 0)
        _check_reads(staged.path, recipe)
        _keep_time(staged.path, status)
        sync(descriptor)
        yield Proven(staged, recipe)


def _write_literals(
    descriptor: int, at: int, source: SourceFile, segments: Iterable[Segment]
) -> None:
    place = 0
    for segment in segments:
        if segment.part < 0:
            for block in source.blocks(place, segment.size):
                write_at(descriptor, block, at)
                at += len(block)
        place += segment.size


def _compared(
    rebuilt: RebuiltFile, source: SourceFile, progress: Callable[[int], None]
) -> str | int:
    """The hash of what is rebuilt, where it is the source; else the place of the first difference."""
    digest = hashlib.sha256()
    for at in range(0, source.size, BLOCK):
        size = min(BLOCK, source.size - at)
        data, wanted = rebuilt.read(at, size), source.read(at, size)
        if data != wanted:
            return at + next(i for i in range(size) if data[i] != wanted[i])
        digest.update(data)
        progress(size)
    return digest.hexdigest()


def first_difference(
    rebuilt: RebuiltFile, source: SourceFile, progress: Callable[[int], None]
) -> int | None:
    """Where a compacted file would be rebuilt otherwise than a file is; None where it would be the same."""
    if rebuilt.size != source.size:
        return min(rebuilt.size, source.size)
    found = _compared(rebuilt, source, progress)
    if isinstance(found, str) and found != rebuilt.digest:
        return 0
    return found if isinstance(found, int) else None


def _check_reads(path: str, recipe: Recipe) -> None:
    file = SourceFile(path)
    try:
        found, _ = read_recipe(file)
    finally:
        file.close()
    if found != recipe:
        raise VerificationError(
            f"{path}: the recipe reads back differently",
            why="nothing was published",
            hint="check the disk",
        )


def _keep_time(path: str, status: os.stat_result) -> None:
    """What is made of a file is as old as the file: trainers and people go by that."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def published(proven: Proven, adapter: Staged | None, status: os.stat_result) -> None:
    """Give adapter and recipe their names, in this order: a recipe needs its adapter.

    DestinationExistsError where the recipe's is taken. An adapter of the same bytes is replaced.
    """
    if adapter:
        _keep_time(adapter.path, status)
        adapter.publish(replace=True)
        adapter.discard()
    proven.staged.publish(replace=False)
    proven.staged.discard()
