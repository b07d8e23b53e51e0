"""Files that several outputs share: read-only, ours, and named by the SHA-256 of what is in them.

A file gets its name once it is whole, read back and on the disk, so its name is proof of its content
until something changes it; programs that write in place can, through any hard link.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Collection
from typing import Literal, NamedTuple, TypeAlias

from lora_convert.errors import DestinationExistsError, InputError
from lora_convert.storage.atomic import Staged, settle, staged_file
from lora_convert.storage.copying import copy_range
from lora_convert.storage.files import SourceFile
from lora_convert.storage.flushing import Flushing
from lora_convert.storage.hashes import (
    hash_of,
    hash_once,
    hash_written,
    is_hash,
    known,
    learn,
    state_of,
)
from lora_convert.storage.linking import clone
from lora_convert.storage.parents import made_folder

KNOWN = "known.json"
"""Remembers hashes; it lies among the entries, and its name is none of theirs."""
How: TypeAlias = Literal["present", "reflink", "copy", "written"]
_STEP = 1 << 27
"""Bytes copied between two reports of progress."""
_READ_ONLY = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH


class Entry(NamedTuple):
    """A file of a store; `digest` is its name."""

    digest: str
    path: str
    size: int


class Put(NamedTuple):
    """An entry, how it came there, and the bytes that this cost."""

    entry: Entry
    how: How
    written: int


class Damaged(NamedTuple):
    """An entry that is not what its name says."""

    entry: Entry
    problem: str


def path_of(folder: str, digest: str) -> str:
    """Where an entry is, if it is there."""
    return os.path.join(folder, digest)


def digest_of(folder: str, path: str) -> str:
    """The SHA-256 of a file; a store remembers those of files that have not changed since."""
    with made_folder(folder):
        return hash_once(os.path.join(folder, KNOWN), path)


def known_digest(folder: str, path: str) -> str:
    """The SHA-256 of a file as far as the store remembers it; else empty, and nothing is read."""
    file = SourceFile(os.path.realpath(path))
    try:
        return known(os.path.join(folder, KNOWN)).files.get(state_of(file), "")
    finally:
        file.close()


def made_before(folder: str, recipe: str) -> Entry | None:
    """The entry that was written by a recipe, if it is there."""
    digest = known(os.path.join(folder, KNOWN)).recipes.get(_recipe_name(recipe), "")
    return find(folder, digest) if digest else None


def _recipe_name(recipe: str) -> str:
    import hashlib

    return hashlib.sha256(recipe.encode()).hexdigest() if recipe else ""


def find(folder: str, digest: str, size: int = -1, *, check: bool = False) -> Entry | None:
    """The entry of that name; None where there is none, not of this size, or with `check` damaged."""
    entry = Entry(digest, path_of(folder, digest), size)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        status = os.lstat(entry.path)
        if stat.S_ISREG(status.st_mode) and size in {-1, status.st_size}:
            entry = entry._replace(size=status.st_size)
            return None if check and _problem(entry) else entry
    return None


def put_file(
    folder: str,
    source: str,
    *,
    how: Literal["auto", "reflink", "copy"] = "auto",
    check: bool = False,
    progress: Callable[[int], None] = lambda size: None,
) -> Put:
    """Put the content of a file in; links on the way to it are resolved, and it is left as it is.

    What is there already is trusted where its size and time are those it had when it was hashed; else,
    or with `check`, it is hashed again, and replaced where it is not what its name says.
    ``reflink`` is tried and ``copy`` done where it fails. Errors as of `staged_file` and `SourceFile`.
    """
    file = SourceFile(os.path.realpath(source))
    document = os.path.join(folder, KNOWN)
    try:
        state = state_of(file)
        digest = known(document).files.get(state, "")
        found = _present(folder, digest, file.size, check=check) if digest else None
        if found:
            return found
        with made_folder(folder), _new(folder, file.size) as (descriptor, staged):
            shared = how != "copy" and clone(file.descriptor, descriptor)
            if not shared:
                _copy(file, descriptor, progress)
            digest = _finished(descriptor, None if shared else file)
            file.check_unchanged()
            entry = Entry(digest, path_of(folder, digest), file.size)
            put = _published(staged, entry, "reflink" if shared else "copy", check=check)
        learn(document, files={state: digest, _state(entry): digest})
        return put
    finally:
        file.close()


def put_written(
    folder: str,
    write: Callable[[int], object],
    *,
    size: int = 0,
    recipe: str = "",
    check: bool = False,
) -> Put:
    """Put in what `write` writes to an empty descriptor; `size` is how much that is, if known.

    `recipe` is a text that says all that the content depends on: where a content of that recipe is
    there, nothing is written again. Errors of `write` pass, those of the disk as of `staged_file`.
    """
    document = os.path.join(folder, KNOWN)
    name = _recipe_name(recipe)
    digest = known(document).recipes.get(name, "")
    found = _present(folder, digest, size or -1, check=check) if digest else None
    if found:
        return found
    with made_folder(folder), _new(folder, size) as (descriptor, staged):
        write(descriptor)
        digest = _finished(descriptor)
        entry = Entry(digest, path_of(folder, digest), os.fstat(descriptor).st_size)
        put = _published(staged, entry, "written", check=check)
    learn(document, files={_state(entry): digest}, recipes={name: digest})
    return put


def _present(folder: str, digest: str, size: int, *, check: bool) -> Put | None:
    """An entry that is there and sound, brought to the disk: who wrote it may have been killed.

    Programs that write in place change it through any hard link; its time then tells.
    """
    entry = find(folder, digest, size)
    if entry is None:
        return None
    document = os.path.join(folder, KNOWN)
    if check or known(document).files.get(_state(entry)) != digest:
        if _problem(entry):
            return None
        learn(document, files={_state(entry): digest})
    settle(entry.path)
    return Put(entry, "present", 0)


def _state(entry: Entry) -> str:
    """What a write changes; links change nothing of it, and disks without inodes keep it."""
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(entry.path)
        return f"entry:{entry.digest}:{status.st_size}:{status.st_mtime_ns}"
    return ""


def _new(folder: str, size: int) -> contextlib.AbstractContextManager[tuple[int, Staged]]:
    """A temporary that gets another target once it is known what is in it."""
    return staged_file(os.path.join(folder, "entry"), size)


def _copy(source: SourceFile, descriptor: int, progress: Callable[[int], None]) -> None:
    for at in range(0, source.size, _STEP):
        size = min(_STEP, source.size - at)
        copy_range(source, at, size, descriptor, at)
        progress(size)


def _finished(descriptor: int, source: SourceFile | None = None) -> str:
    """Protect what was written, and bring it to the disk while it is read back; returns its hash."""
    with contextlib.suppress(OSError, AttributeError):  # FAT and Windows do not know these modes
        os.fchmod(descriptor, os.fstat(descriptor).st_mode & _READ_ONLY)
    with Flushing(descriptor):
        return hash_written(descriptor, source)


def _published(staged: Staged, entry: Entry, how: How, *, check: bool) -> Put:
    """Give a new entry its name, unless another run was faster."""
    staged.target = entry.path
    try:
        staged.publish(replace=False)
    except DestinationExistsError:
        found = _present(os.path.dirname(entry.path), entry.digest, entry.size, check=check)
        if found:
            return found
        staged.publish(replace=True)
    return Put(entry, how, 0 if how == "reflink" else entry.size)


def entries(folder: str) -> tuple[Entry, ...]:
    """All entries by name; nothing else that lies in the folder, and none where it is not there."""
    try:
        names = sorted(filter(is_hash, os.listdir(folder)))
    except OSError:
        return ()
    found = (find(folder, name) for name in names)
    return tuple(entry for entry in found if entry)


def check(folder: str, progress: Callable[[int], None] = lambda size: None) -> tuple[Damaged, ...]:
    """Read all entries, and give those whose content is not what their name says."""
    damaged = []
    for entry in entries(folder):
        problem = _problem(entry)
        if problem:
            damaged.append(Damaged(entry, problem))
        progress(entry.size)
    return tuple(damaged)


def _problem(entry: Entry) -> str:
    try:
        file = SourceFile(entry.path)
        try:
            found = hash_of(file)
        finally:
            file.close()
    except InputError as error:
        return error.what.removeprefix(f"{entry.path}: ")
    return "" if found == entry.digest else f"its content has the hash {found}"


def unused(folder: str, in_use: Collection[str]) -> tuple[Entry, ...]:
    """Entries whose names are not among those in use."""
    return tuple(entry for entry in entries(folder) if entry.digest not in in_use)
