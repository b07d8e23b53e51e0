"""Items of a trash as they lie on the disk: a folder each, with a manifest and what it names, by number."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import InputError, NotMovedError
from lora_convert.storage.atomic import staged_folder, sync
from lora_convert.storage.documents import read_document
from lora_convert.storage.positions import write_at

if TYPE_CHECKING:
    from lora_convert.storage.identity import State
    from lora_convert.storage.open_folders import OpenFolder

MANIFEST = "manifest.json"
_SCHEMA = 1
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}", re.ASCII)
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


class Entry(NamedTuple):
    """One thing that was moved."""

    name: str
    """Where it was, seen from the folder around the trash; ``/`` between folders."""
    size: int
    """Bytes of all its files."""
    present: bool
    """Whether it is in the trash: a crash may have come before its move, or after its way back."""


class Item(NamedTuple):
    """What was moved at one time."""

    id: str
    when: float
    """Seconds since 1970."""
    why: str
    command: str
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes of what is still there; what is hard-linked counts each time."""
        return sum(entry.size for entry in self.entries if entry.present)

    @property
    def present(self) -> dict[str, str]:
        """What is still there: its name in the item, and where it was."""
        return {
            str(number): entry.name for number, entry in enumerate(self.entries) if entry.present
        }


def parts_of(name: str) -> list[str]:
    """The names that a name is made of, with ``/`` between them; NotMovedError where it could lead out."""
    parts = name.split("/")
    foreign = "\0\\:" if os.name == "nt" else "\0"
    if not {"", ".", ".."}.isdisjoint(parts) or not set(name).isdisjoint(foreign):
        raise NotMovedError(name, "is no name of something in the folder")
    return parts


def write_item(trash: OpenFolder, names: Mapping[str, State], why: str, command: str) -> Item:
    """A new item that names things to be moved, none of which is there yet. It is on the disk afterwards.

    Errors of the disk as of `staged_folder`.
    """
    when = time.time()
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(when))
    entries = tuple(Entry(name, state.bytes, False) for name, state in names.items())
    item = Item(f"{moment}-{os.urandom(3).hex()}", when, why, command, entries)
    listed = [{"name": entry.name, "size": entry.size} for entry in entries]
    document = {**item._asdict(), "schema": _SCHEMA, "entries": listed}
    with staged_folder(os.path.join(trash.path, item.id)) as staged:
        descriptor = os.open(os.path.join(staged.path, MANIFEST), _FLAGS, 0o666)
        try:
            write_at(descriptor, json.dumps(document, indent=1).encode(), 0)
            sync(descriptor)
        finally:
            os.close(descriptor)
        staged.publish(replace=False)
    return item


def read_item(trash: OpenFolder, name: str) -> Item | None:
    """The item of a name; None where that is none of ours, or holds what is not.

    One of which nothing is there any more has no `present` entries: a crash came before its removal.
    """
    if not _ID.fullmatch(name):
        return None
    try:
        with trash.inner(name) as place:
            found = place.names()
            if not found:
                return Item(name, 0.0, "", "", ())
            if not stat.S_ISREG(place.check(MANIFEST).st_mode):
                return None
            item = _parsed(name, read_document(os.path.join(place.path, MANIFEST)), found)
            own = {MANIFEST, *item.present}
    except (InputError, NotMovedError, OSError, KeyError, TypeError, ValueError):
        return None
    return item if own.issuperset(found) else None


def _parsed(id: str, document: Any, found: list[str]) -> Item:
    """The item in a manifest; an error of Python's where it is not one."""
    if document["schema"] != _SCHEMA:
        raise ValueError(document["schema"])
    entries = []
    for number, entry in enumerate(document["entries"]):
        parts_of(entry["name"])
        entries.append(Entry(entry["name"], int(entry["size"]), str(number) in found))
    why, command = str(document["why"]), str(document["command"])
    return Item(id, float(document["when"]), why, command, tuple(entries))
