"""What was taken from a run: what is there, back again, or gone for good."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.operations.addresses import run_at
from lora_convert.operations.sharing import TRASH
from lora_convert.storage.footprint import freed_by
from lora_convert.storage.locks import held
from lora_convert.storage.trash import Trash

if TYPE_CHECKING:
    from lora_convert.storage.trash import Item


class Trashed(NamedTuple):
    """An item of a run's trash."""

    run: str
    """The run's folder."""
    item: Item

    @property
    def path(self) -> str:
        """The item's folder."""
        return os.path.join(self.run, TRASH, self.item.id)

    @property
    def things(self) -> list[str]:
        """Paths of what is still there."""
        return [os.path.join(self.path, number) for number in self.item.present]

    @property
    def freed(self) -> int:
        """Bytes that removing it frees: what has a hard link elsewhere stays."""
        return freed_by(self.things)

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        entries = [entry._asdict() for entry in self.item.entries]
        fields = {**self.item._asdict(), "entries": entries, "freed": self.freed}
        return {"path": self.path, **fields}


def trash_of(path: str) -> Trash:
    """The trash of a run's folder, or of the run at an address; CheckpointNotFoundError for others."""
    return Trash(path if os.path.isdir(path) else run_at(path).path, TRASH)


def trashed(path: str) -> list[Trashed]:
    """What is in a run's trash and can be had back, the oldest first."""
    trash = trash_of(path)
    return [Trashed(trash.root, item) for item in trash.items()]


def undo(path: str, id: str | None = None) -> Item | None:
    """Move an item back to where it was, the newest where none is named; None where there is none.

    Errors as of `Trash.undo`, and LockedError.
    """
    trash = trash_of(path)
    with held(trash.root):
        newest = [item.id for item in trash.items()][-1:]
        for chosen in newest if id is None else [id]:
            return trash.undo(chosen)
        trash.empty(())
    return None


def empty(path: str, ids: Sequence[str]) -> None:
    """Remove items for good, and what an earlier call had begun; errors as of `Trash.empty`, LockedError."""
    trash = trash_of(path)
    with held(trash.root):
        trash.empty(ids)
