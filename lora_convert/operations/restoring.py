"""Compacted checkpoints made whole again: the same bytes, as they were."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from lora_convert.errors import InputError, LoraConvertError
from lora_convert.operations.bases import located
from lora_convert.operations.homes import home_of
from lora_convert.operations.interrupted import finish
from lora_convert.operations.sharing import BASES, TRASH
from lora_convert.storage.atomic import check_space
from lora_convert.storage.compacted import recipe_of
from lora_convert.storage.files import SourceFile
from lora_convert.storage.hashes import hash_of
from lora_convert.storage.locks import held
from lora_convert.storage.pipelines import read_pipeline
from lora_convert.storage.restoring import read_recipe_of, recipes_below, restore, sweep
from lora_convert.storage.store import find, put_file

if TYPE_CHECKING:
    from lora_convert.storage.recipes import Part

Progress: TypeAlias = Callable[[int], None]
Status: TypeAlias = Literal["planned", "restored", "failed"]


class Restored(NamedTuple):
    """A compacted file, and what becomes of it."""

    path: str
    status: Status
    size: int
    why: str = ""
    """Of a failure."""

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return self._asdict()


class RestorePlan(NamedTuple):
    """What restoring a run or a checkpoint would do."""

    home: str
    """The folder that keeps the bases."""
    items: tuple[Restored, ...]
    base: str | None
    """The folder of the base that is given."""

    @property
    def size(self) -> int:
        """Bytes that are written."""
        return sum(item.size for item in self.items if not os.path.lexists(item.path))

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        listed = [item.as_json() for item in self.items]
        return {"run": self.home, "files": listed, "bytes": self.size}

    def apply(self, progress: Progress = lambda done: None) -> Iterator[Restored]:
        """Restore one file after another; what goes wrong with one stops no other.

        Bases that nothing needs any more go at the end. LockedError where another run works there,
        NotEnoughSpaceError where the disk cannot hold it all.
        """
        check_space(self.home, self.size)
        with held(self.home):
            finish(self.home)
            for item in self.items:
                yield self._restored(item, progress)
            with suppress(InputError):  # a recipe is broken: what it needs is not known
                sweep(os.path.join(self.home, BASES), _needed(self.home))

    def _restored(self, item: Restored, progress: Progress) -> Restored:
        if item.status == "failed":
            return item
        try:
            if self.base:
                _bring_back(item.path, os.path.join(self.home, BASES), self.base)
            restore(item.path, progress)
        except (LoraConvertError, OSError) as error:
            what = error.what if isinstance(error, LoraConvertError) else str(error)
            return item._replace(status="failed", why=what)
        return item._replace(status="restored")


def plan_restore(path: str, *, base: str | None = None) -> RestorePlan:
    """The compacted files of a run, at its address (``RUN@500``), or of a checkpoint.

    What is missing of their bases is taken from `base`. Errors as of `home_of` and `located`.
    """
    home = home_of(path)
    given = located(base).path if base else None
    places = (path,) if os.path.isdir(path) else home.sources
    files = dict.fromkeys(file for place in places for file in _compacted(place))
    return RestorePlan(home.path, tuple(map(_planned, files)), given)


def _compacted(place: str) -> Iterator[str]:
    """The compacted files that a path stands for."""
    if os.path.isdir(place):
        trash = os.path.join(place, TRASH, "")
        yield from (path for path in recipes_below(place) if not path.startswith(trash))
    elif os.path.isfile(recipe_of(place)):
        yield place


def _planned(path: str) -> Restored:
    try:
        return Restored(path, "planned", read_recipe_of(path).size)
    except InputError as error:
        return Restored(path, "failed", 0, error.what)


def _needed(folder: str) -> set[str]:
    """Digests of what the recipes below a folder need; errors where one is broken."""
    return {part.digest for path in recipes_below(folder) for part in read_recipe_of(path).parts}


def _bring_back(path: str, folder: str, base: str) -> None:
    """Put what a compacted file needs of its base into the store again, where `base` has it."""
    for part in read_recipe_of(path).parts:
        if not part.beside and not find(folder, part.digest, part.size, check=True):
            for file in _weights(base):
                if _is(file, part):
                    put_file(folder, file, check=True)


def _weights(base: str) -> Iterator[str]:
    for component in read_pipeline(base).components.values():
        yield from component.weights.files if component.weights else ()


def _is(path: str, part: Part) -> bool:
    if os.path.getsize(path) != part.size:
        return False
    with closing(SourceFile(os.path.realpath(path))) as file:
        return hash_of(file) == part.digest
