"""What a compacting run left that was killed: files in the trash in whose place their recipes are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from lora_convert.errors import InputError
from lora_convert.operations.sharing import BASES, TRASH
from lora_convert.storage.files import SourceFile
from lora_convert.storage.hashes import hash_of
from lora_convert.storage.leftovers import is_temporary, remove_leftovers
from lora_convert.storage.locks import LOCK
from lora_convert.storage.restoring import problem_of, read_recipe_of
from lora_convert.storage.trash import Trash

if TYPE_CHECKING:
    from lora_convert.storage.trash import Item

COMMAND = "compact"
REPLACED = "compacted"
"""Why a file is in the trash whose recipe is proven; it is to be removed at once."""


def was_interrupted(home: str) -> bool:
    """Whether a run that was killed left anything in a folder of checkpoints."""
    folders = [os.path.join(home, name) for name in (TRASH, BASES)]
    inside = [name for place in filter(os.path.isdir, folders) for name in os.listdir(place)]
    locked = os.path.lexists(os.path.join(home, LOCK))
    return locked or any(map(is_temporary, inside)) or any(_replaced(home))


def finish(home: str) -> None:
    """Remove what a killed run had begun to remove; what its recipe would not rebuild stays in the trash."""
    remove_leftovers(os.path.join(home, BASES))
    if not os.path.isdir(os.path.join(home, TRASH)):
        return
    done = [item.id for item in _replaced(home) if _is_rebuilt(home, item)]
    Trash(home, TRASH).empty(done)


def _replaced(home: str) -> Iterator[Item]:
    for item in Trash(home, TRASH).items():
        if (item.command, item.why) == (COMMAND, REPLACED):
            yield item


def _is_rebuilt(home: str, item: Item) -> bool:
    """Whether what is in the trash is, byte for byte, what the recipes in its place rebuild."""
    for number, name in item.present.items():
        path = os.path.join(home, *name.split("/"))
        try:
            with closing(SourceFile(os.path.join(home, TRASH, item.id, number))) as file:
                found = hash_of(file)
            if found != read_recipe_of(path).digest or problem_of(path):
                return False
        except InputError:
            return False
    return True
