"""What compacting would do: checkpoints that hold a frozen base give it up, and can be rebuilt."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypeAlias

from lora_convert.errors import (
    CheckpointNotFoundError,
    CorruptCheckpointError,
    LoraConvertError,
)
from lora_convert.operations.compacting import Progress, compacted
from lora_convert.operations.frozen import (
    Frozen,
    agrees,
    as_file,
    frozen_in_store,
    frozen_of,
    frozen_of_pipeline,
    of_file,
)
from lora_convert.operations.homes import Home, home_of
from lora_convert.operations.interrupted import finish, was_interrupted
from lora_convert.operations.laying_out import laid_out
from lora_convert.operations.opening import open_adapter
from lora_convert.operations.sharing import BASES
from lora_convert.storage.atomic import check_space
from lora_convert.storage.identity import State, state_of

Status: TypeAlias = Literal["planned", "compacted", "unchanged", "left"]

OWN = "its own frozen tensors"
"""What stands for a base that is nowhere else."""


class Item(NamedTuple):
    """A file of a checkpoint, and what becomes of it."""

    checkpoint: str
    path: str
    status: Status
    size: int = 0
    kept: int = 0
    """Bytes that stand in its place."""
    base: str = ""
    """Whose its frozen tensors are."""
    why: str = ""
    """Of a file that is left, or has nothing to give up."""

    @property
    def freed(self) -> int:
        """Bytes that the disk gets back; the base apart, which is kept once."""
        return self.size - self.kept if self.status in {"planned", "compacted"} else 0

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {**self._asdict(), "freed": self.freed}


class CompactPlan(NamedTuple):
    """What compacting a run or a checkpoint would do."""

    home: Home
    items: tuple[Item, ...]
    bases: tuple[Frozen, ...]
    """Those at hand outside of the run's store."""
    only: bool
    """Whether no other base is taken."""
    states: dict[str, State]
    """What the files were that are to go."""
    added: int
    """Bytes of bases that the store would get."""

    @property
    def freed(self) -> int:
        """Bytes that the disk gets back in all."""
        return sum(item.freed for item in self.items) - self.added

    @property
    def size(self) -> int:
        """Bytes that are read and compared."""
        return sum(item.size for item in self.items if item.status == "planned")

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        listed = [item.as_json() for item in self.items]
        said = {"base_bytes": self.added, "freed": self.freed}
        return {"run": self.home.path, "files": listed, **said}

    def apply(
        self, progress: Progress = lambda done: None, *, force: bool = False
    ) -> Iterator[Item]:
        """Compact one file after another; what goes wrong with one stops no other.

        A file goes once what is left has rebuilt every byte of it, and is on the disk. Errors as of
        `reserved`, before anything is done, and NotEnoughSpaceError where bases and adapters do not fit.
        """
        if not self.size and not was_interrupted(self.home.path):
            yield from self.items
            return
        kept = max((item.kept for item in self.items if item.status == "planned"), default=0)
        check_space(self.home.path, self.added + kept)
        with self.home.reserved(force=force):
            finish(self.home.path)
            for item in self.items:
                yield compacted(self, item, progress) if item.status == "planned" else item


def plan_compact(path: str, *, base: str | None = None) -> CompactPlan:
    """What can be given up in a run, at its address (``RUN@500``) or in a checkpoint; little is read.

    The base is looked for in the run's store, then it is `base`, else what the run names if that is at
    hand; where none agrees, the first checkpoint's frozen tensors become the base of the others. Where
    `base` is given, no other is taken that is not in the store. Errors as of `base_of` and `home_of`.
    """
    home = home_of(path)
    stored = [*frozen_in_store(_folder(home))]
    outside = [*_outside(home, base)]
    bases = [*stored, *outside]
    new: dict[str, int] = {}
    items: list[Item] = []
    states: dict[str, State] = {}
    for source in home.sources:
        for item, needed in _planned(home, source, bases, only=base is not None):
            items.append(item)
            if item.status == "planned":
                states[item.path] = state_of(item.path)
            for file, size in needed.items():
                new.setdefault(file, size)
    for one in stored:
        for file in one.files:
            new.pop(file, None)
    return CompactPlan(
        home, tuple(items), tuple(outside), base is not None, states, sum(new.values())
    )


def _folder(home: Home) -> str:
    return os.path.join(home.path, BASES)


def _outside(home: Home, given: str | None) -> Iterator[Frozen]:
    from lora_convert.operations.bases import cached, located

    named = home.base_model
    if given:
        yield frozen_of_pipeline(located(given).path, given)
    elif named:
        with suppress(CheckpointNotFoundError, CorruptCheckpointError):
            folder = named if os.path.isdir(named) else cached(named)
            if folder:
                yield frozen_of_pipeline(folder, named)


def _planned(
    home: Home, source: str, bases: list[Frozen], *, only: bool
) -> Iterator[tuple[Item, Mapping[str, int]]]:
    """Each file of a checkpoint, with files of its base and their sizes.

    A new base of its own frozen tensors joins the others.
    """
    try:
        opened = open_adapter(source)
    except LoraConvertError as error:
        yield Item(source, source, "left", why=error.what), {}
        return
    with opened.checkpoint:
        frozen = frozen_of(opened)
        for number, file in enumerate(opened.checkpoint.files):
            own = of_file(frozen, number)
            item = Item(source, file.path, "unchanged", file.size)
            why = _nothing_to_do(own, file.digest)
            refused = "" if why else _refused(home, file.path)
            if why or refused:
                status: Status = "left" if refused else "unchanged"
                yield item._replace(status=status, why=why or refused), {}
                continue
            base = next((one for one in bases if agrees(own, one)), None)
            if base is None and only:
                why = f"its frozen tensors are not those of {bases[-1].name}"
                yield item._replace(status="left", why=why), {}
                continue
            made = base is None
            base = base or own._replace(name=OWN)
            laid = laid_out(opened, number, own, base)
            sizes = {path: os.path.getsize(path) for path in laid.files}
            if made:
                bases.append(base)
                sizes = {file.path: as_file(own).size}
            yield item._replace(status="planned", kept=laid.kept, base=base.name), sizes


def _nothing_to_do(own: Frozen, digest: str) -> str:
    if digest:
        return "compacted already"
    return "" if own.tensors else "holds no frozen base"


def _refused(home: Home, path: str) -> str:
    """Why a file is left alone, if it is."""
    inside = f"{os.path.realpath(os.path.dirname(path))}{os.sep}"
    if os.path.islink(path) or not inside.startswith(os.path.join(os.path.realpath(home.path), "")):
        return "is a link, or lies behind one"
    if os.stat(path).st_nlink > 1:
        return "has other names, so that nothing would be freed"
    return ""
