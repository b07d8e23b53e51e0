"""One file of a checkpoint on its way to being compacted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lora_convert.errors import ConversionError, CorruptCheckpointError, LoraConvertError
from lora_convert.operations.frozen import (
    Frozen,
    agrees,
    as_file,
    frozen_in_store,
    frozen_of,
    of_file,
)
from lora_convert.operations.interrupted import COMMAND, REPLACED
from lora_convert.operations.laying_out import laid_out
from lora_convert.operations.opening import open_adapter
from lora_convert.operations.sharing import BASES, TRASH
from lora_convert.storage.atomic import settle
from lora_convert.storage.compacted import recipe_of
from lora_convert.storage.compacting import (
    Difference,
    first_difference,
    proven_recipe,
    published,
    written_adapter,
)
from lora_convert.storage.identity import State, state_of
from lora_convert.storage.rebuilt import RebuiltFile
from lora_convert.storage.recipes import Part
from lora_convert.storage.restoring import is_whole
from lora_convert.storage.store import put_file, put_written
from lora_convert.storage.trash import Trash
from lora_convert.storage.writer import write_tensor_file

if TYPE_CHECKING:
    from lora_convert.operations.compact_plan import CompactPlan, Item
    from lora_convert.operations.opening import Opened

Progress: TypeAlias = Callable[[int], None]

_NOT_THE_BASE = "its frozen tensors are not the base's"


def compacted(plan: CompactPlan, item: Item, progress: Progress) -> Item:
    """Compact a file; what goes wrong is said by the item, and the file is there as it was."""
    try:
        opened = open_adapter(item.checkpoint)
        with opened.checkpoint:
            paths = [file.path for file in opened.checkpoint.files]
            if item.path not in paths:
                return item._replace(status="left", why="is not there any more")
            done = _Compaction(plan, item, opened, paths.index(item.path), progress)
            return item._replace(status="compacted", kept=done.run())
    except (LoraConvertError, OSError) as error:
        return item._replace(status="left", why=_said(error))


class _Compaction(NamedTuple):
    """One file on its way."""

    plan: CompactPlan
    item: Item
    opened: Opened
    number: int
    progress: Progress

    def run(self) -> int:
        """Write what stands in the file's place, prove it, and take the file away; gives its bytes."""
        kept = self._finished_before()
        if not kept:
            own = of_file(frozen_of(self.opened), self.number)
            kept = self._with_any(own)
        with closing(RebuiltFile.of(self.item.path)) as rebuilt:
            rebuilt.settle()
        self.opened.checkpoint.check_unchanged()
        state = self.plan.states[self.item.path]
        self._take({self.item.path: state}, REPLACED, for_good=True)
        return kept

    def _finished_before(self) -> int:
        """What a run left that was killed before it took the file away; else nothing is in the way then."""
        recipe = recipe_of(self.item.path)
        if not os.path.lexists(recipe):
            return 0
        adapters: list[str] = []
        with suppress(CorruptCheckpointError), closing(RebuiltFile.of(self.item.path)) as rebuilt:
            adapters = rebuilt.beside
            source = self.opened.checkpoint.files[self.number]
            if first_difference(rebuilt, source, self.progress) is None:
                return sum(map(os.path.getsize, [recipe, *adapters]))
        if is_whole(self.item.path):  # restored; only its adapter was still taken away
            settle(self.item.path)
            os.unlink(recipe)
            return 0
        # the recipe last: without it nothing is known
        stale = {path: state_of(path) for path in [*adapters, recipe]}
        self._take(stale, "of an older file of this name", for_good=False)
        return 0

    def _with_any(self, own: Frozen) -> int:
        """Compact with the first base that has the same bytes; ConversionError where none has."""
        differing: list[str] = []
        for base in self._bases(own):
            found = self._with(own, base)
            if isinstance(found, int):
                return found
            differing.append(f"{found} is not that of {base.name}")
        raise ConversionError(_NOT_THE_BASE, why="; ".join(differing))

    def _bases(self, own: Frozen) -> Iterator[Frozen]:
        """Those that agree, the store's first; last one that is made of the file's own frozen tensors."""
        folder = os.path.join(self.plan.home.path, BASES)
        known = (*frozen_in_store(folder), *self.plan.bases)
        yield from (one for one in known if agrees(own, one))
        if not self.plan.only:
            file = as_file(own)

            def write(descriptor: int) -> None:
                write_tensor_file(descriptor, file, self.opened.checkpoint, self.progress)

            made = put_written(folder, write, size=file.size).entry.path
            yield next(one for one in frozen_in_store(folder) if one.files == (made,))

    def _with(self, own: Frozen, base: Frozen) -> int | str:
        """The bytes that stand in the file's place; else the first tensor that is not the base's."""
        laid = laid_out(self.opened, self.number, own, base)
        stored = [self._stored(path) for path in laid.files]
        source = self.opened.checkpoint.files[self.number]
        status = os.fstat(source.descriptor)
        with ExitStack() as stack:
            parts, staged = list[tuple[Part, str]](), None
            if laid.adapter:
                writing = written_adapter(laid.path, laid.adapter, self.opened.checkpoint)
                staged, part = stack.enter_context(writing)
                parts.append((part, staged.path))
            proving = proven_recipe(source, [*parts, *stored], laid.segments(), self.progress)
            proven = stack.enter_context(proving)
            if isinstance(proven, Difference):
                return _name_at(own, proven.at)
            published(proven, staged, status)
        paths = [recipe_of(source.path), *([laid.path] if laid.adapter else [])]
        return sum(map(os.path.getsize, paths))

    def _stored(self, path: str) -> tuple[Part, str]:
        """A file of the base, in the store."""
        folder = os.path.join(self.plan.home.path, BASES)
        if os.path.dirname(path) == folder:
            return Part(os.path.basename(path), os.path.getsize(path)), path
        entry = put_file(folder, path, progress=self.progress).entry
        return Part(entry.digest, entry.size), entry.path

    def _take(self, paths: dict[str, State], why: str, *, for_good: bool) -> None:
        """Take files away, through the trash: one that is another by now comes back, or stays there."""
        home = os.path.realpath(self.plan.home.path)
        names = {os.path.relpath(os.path.realpath(path), home): s for path, s in paths.items()}
        ours = Trash(home, TRASH)
        item = ours.put(names, why=why, command=COMMAND)
        if for_good:
            ours.empty([item.id])


def _said(error: Exception) -> str:
    if not isinstance(error, LoraConvertError):
        return str(error)
    return f"{error.what}: {error.why}" if error.why else error.what


def _name_at(own: Frozen, place: int) -> str:
    tensors = own.tensors.items()
    found = (name for (_, name), t in tensors if t.start <= place < t.start + t.size)
    return next(found, f"what is at byte {place:,}")
