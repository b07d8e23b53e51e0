"""A folder of what was taken away from the folder it lies in, from where it can be had back.

Things are moved there by rename, which copies nothing and frees nothing until the trash is emptied. What
is moved is listed on the disk before the first move, so a crash leaves each thing in its place, or in the
trash and listed. Nothing is locked here: whoever writes holds the lock of the folder around.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from lora_convert.errors import (
    DestinationExistsError,
    NotMovedError,
    OptionError,
    OutputError,
)
from lora_convert.storage.atomic import cannot_write, unconfirmed
from lora_convert.storage.identity import State, state_in
from lora_convert.storage.leftovers import is_temporary, remove, remove_leftovers, temporary_path
from lora_convert.storage.mounts import mounted_in
from lora_convert.storage.open_folders import OpenFolder, descended, opened_folder
from lora_convert.storage.trash_items import (
    MANIFEST,
    Entry,
    Item,
    parts_of,
    read_item,
    write_item,
)

__all__ = ["Entry", "Item", "Trash"]


class Trash(NamedTuple):
    """The trash of a folder."""

    root: str
    """The folder; links on the way to it are followed, and none inside it."""
    name: str
    """Of the trash, in it."""

    def state(self, name: str) -> State:
        """What is under a name now, for `put` to compare with; NotMovedError for all that it refuses."""
        parts = self._parts(name)
        with opened_folder(self.root) as root, descended(root, parts[:-1]) as folder:
            return state_in(folder, parts[-1])

    def put(self, names: Mapping[str, State], *, why: str, command: str) -> Item:
        """Move things there, all or none of them, that are still what they were when that was planned.

        Names are seen from the root, with ``/`` between folders. NotMovedError where one is gone or
        changed, is or lies behind a symbolic link, is or holds what is mounted, or is outside. Each is
        looked at before its move and once more after it, and moved back where it is another; should
        something have its name by then, it stays in the trash, and the error says so. OutputError where
        the trash cannot be written: nothing was moved.
        """
        wanted = {name: self._parts(name) for name in names}
        with opened_folder(self.root) as root:
            for name, parts in wanted.items():
                with descended(root, parts[:-1]) as folder:
                    _check_state(folder, parts[-1], names[name])
            with self._made(root) as trash:
                item = self._listed(root, trash, names, why, command)
                with trash.inner(item.id) as place:
                    try:
                        for number, (name, parts) in enumerate(wanted.items()):
                            _take(root, parts, place, str(number), names[name])
                    except BaseException as error:
                        _take_back(root, place, wanted.values())
                        self._tidy(root, trash)
                        if trash.status(item.id) is not None and isinstance(error, NotMovedError):
                            error.hint = (
                                f"its name is taken now: lora-convert trash undo {self.root}"
                            )
                        raise
                    _settle(root, place, wanted.values())
        entries = (entry._replace(present=True) for entry in item.entries)
        return item._replace(entries=tuple(entries))

    def items(self) -> tuple[Item, ...]:
        """What is there and can be had back, the oldest first."""
        found = [item for _, item in self._contents() if item and item.present]
        return tuple(sorted(found, key=lambda item: (item.when, item.id)))

    def foreign(self) -> tuple[str, ...]:
        """Paths of what else lies in the trash: it is no item, or torn, and nothing here removes it."""
        return tuple(
            os.path.join(self.root, self.name, name)
            for name, item in self._contents()
            if item is None and not is_temporary(name)
        )

    def undo(self, id: str) -> Item:
        """Move what is there of an item back to where it was, and tell what it was.

        Folders around it are made again. DestinationExistsError where something else has a name by
        now: then nothing is moved; should it come between, another undo moves the rest.
        """
        with opened_folder(self.root) as root, root.inner(self.name) as trash:
            item = _needed(trash, id)
            with trash.inner(id) as place:
                back = {number: self._parts(name) for number, name in item.present.items()}
                for parts in back.values():
                    self._check_free(root, parts, id)
                for number, parts in back.items():
                    self._give_back(root, place, number, parts, id)
                _settle(root, place, back.values())
            self._tidy(root, trash)
        return item

    def empty(self, ids: Collection[str]) -> None:
        """Remove items for good. Links in them are removed, not followed.

        What is begun with cannot be had back any more, not even in half; where a crash ends it, the
        next call of this, also without ids, or of `put` goes on. NotMovedError where something is
        mounted in one.
        """
        with opened_folder(self.root) as root:
            if root.status(self.name) is None and not ids:
                return
            with root.inner(self.name) as trash:
                _sweep(trash)
                for item in [_needed(trash, id) for id in dict.fromkeys(ids)]:
                    _remove(trash, item.id)
                self._tidy(root, trash)

    def _parts(self, name: str) -> list[str]:
        """The names that a name is made of; NotMovedError where that leads out, or into the trash."""
        parts = parts_of(name)
        if parts[0] == self.name:
            raise NotMovedError(name, "lies in the trash")
        return parts

    def _contents(self) -> list[tuple[str, Item | None]]:
        with opened_folder(self.root) as root:
            if root.status(self.name) is None:
                return []
            with root.inner(self.name) as trash:
                return [(name, read_item(trash, name)) for name in trash.names()]

    def _made(self, root: OpenFolder) -> OpenFolder:
        try:
            return root.made(self.name)
        except OSError as error:
            root.remove_if_empty(self.name)
            path = os.path.join(self.root, self.name)
            raise _nothing_moved(cannot_write(error, path, 0)) from error

    def _listed(
        self,
        root: OpenFolder,
        trash: OpenFolder,
        names: Mapping[str, State],
        why: str,
        command: str,
    ) -> Item:
        _sweep(trash)  # left by a crash
        try:
            return write_item(trash, names, why, command)
        except OutputError as error:
            root.remove_if_empty(self.name)
            _nothing_moved(error)
            raise

    def _tidy(self, root: OpenFolder, trash: OpenFolder) -> None:
        """Remove what is over, and the trash where nothing is in it."""
        _sweep(trash)
        root.remove_if_empty(self.name)

    def _check_free(self, root: OpenFolder, parts: list[str], id: str) -> None:
        """Raise where a name is taken, or cannot be given back; folders that are missing are free."""
        folder = root
        with contextlib.ExitStack() as stack:
            for part in parts[:-1]:
                if folder.status(part) is None:
                    return
                folder = stack.enter_context(folder.inner(part))
            if folder.status(parts[-1]) is not None:
                raise self._taken(parts, id)

    def _give_back(
        self, root: OpenFolder, place: OpenFolder, number: str, parts: list[str], id: str
    ) -> None:
        try:
            with descended(root, parts[:-1], make=True) as folder:
                place.move(number, folder, parts[-1])
        except FileExistsError as error:
            raise self._taken(parts, id) from error
        except OSError as error:
            raise cannot_write(error, os.path.join(self.root, *parts), 0) from error

    def _taken(self, parts: list[str], id: str) -> DestinationExistsError:
        path = os.path.join(self.root, *parts)
        return DestinationExistsError(
            path,
            why="it came there since the other was put in the trash, where that still is",
            hint=f"move it away, then: lora-convert trash undo {self.root} {id}",
        )


def _nothing_moved(error: OutputError) -> OutputError:
    error.why = "what is put in the trash is listed there before, so nothing was moved"
    error.hint = "make a little room on this disk, then run the command again"
    return error


def _check_state(folder: OpenFolder, name: str, state: State) -> None:
    path = os.path.join(folder.path, name)
    if state_in(folder, name) != state:
        raise NotMovedError(path, "changed since that was planned", hint="run the command again")
    mounted = mounted_in(path)
    if mounted:
        raise NotMovedError(path, f"something is mounted at {mounted}")


def _take(root: OpenFolder, parts: list[str], place: OpenFolder, number: str, state: State) -> None:
    """Move one thing to its item; NotMovedError where it is another than was planned, also afterwards."""
    with descended(root, parts[:-1]) as folder:
        _check_state(folder, parts[-1], state)
        path = os.path.join(folder.path, parts[-1])
        try:
            folder.move(parts[-1], place, number)
        except OSError as error:
            raise NotMovedError(path, f"cannot be moved: {error.strerror}") from error
    try:
        _check_state(place, number, state)
    except NotMovedError as error:
        problem = "changed while it was moved"
        raise NotMovedError(path, problem, hint="run the command again") from error


def _take_back(root: OpenFolder, place: OpenFolder, wanted: Iterable[list[str]]) -> None:
    """Move back what was moved before an error; what has lost its name meanwhile stays, and is listed."""
    for number, parts in enumerate(wanted):
        if place.status(str(number)) is not None:
            with (
                contextlib.suppress(OSError, NotMovedError),
                descended(root, parts[:-1]) as folder,
            ):
                place.move(str(number), folder, parts[-1])


def _settle(root: OpenFolder, place: OpenFolder, moved: Iterable[list[str]]) -> None:
    """Bring the names of what was moved to the disk."""
    try:
        place.sync()
        for parts in {tuple(parts[:-1]) for parts in moved}:
            with descended(root, parts) as folder:
                folder.sync()
    except OSError as error:
        raise unconfirmed(place.path, error) from error


def _needed(trash: OpenFolder, id: str) -> Item:
    item = read_item(trash, id)
    if item is None or not item.present:
        found = (read_item(trash, name) for name in trash.names())
        raise OptionError("ID", id, choices=[one.id for one in found if one and one.present])
    return item


def _remove(trash: OpenFolder, id: str) -> None:
    """Remove an item; it gets the name of a left-over before, so that what is left is removed later."""
    path = os.path.join(trash.path, id)
    mounted = mounted_in(path)
    if mounted:
        raise NotMovedError(path, f"something is mounted at {mounted}", hint=f"umount {mounted}")
    hidden = os.path.basename(temporary_path(path))
    try:
        trash.move(id, trash, hidden)
        trash.sync()  # else a power cut could bring back the name, and half of what was there
        remove(os.path.join(trash.path, hidden))
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be removed: {error.strerror}",
            hint="look at who owns what is in it, then run the command again",
        ) from error


def _sweep(trash: OpenFolder) -> None:
    """Remove what crashes left: what was being written or removed, and items that nothing is in."""
    remove_leftovers(trash.path)
    for name in trash.names():
        item = read_item(trash, name)
        if item is None or item.present:
            continue
        with contextlib.suppress(OSError, NotMovedError), trash.inner(name) as place:
            if place.status(MANIFEST) is not None:
                place.unlink(MANIFEST)
        trash.remove_if_empty(name)
