"""A file's content under another name: sharing its place on the disk where that is safe, else copied.

A hard link is one file under two names: who writes into one changes the other, as safetensors before 0.8
does when it saves. So only files of our own store are ever hard-linked. A reflink shares blocks until
one of the two is written, and is safe for any file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from lora_convert.errors import DestinationExistsError, OptionError
from lora_convert.storage.atomic import (
    cannot_write,
    staged_file,
    staged_folder,
    sync,
    sync_folder,
    unconfirmed,
)
from lora_convert.storage.copying import copy_range
from lora_convert.storage.files import SourceFile

Method: TypeAlias = Literal["reflink", "hardlink", "symlink", "copy"]
How: TypeAlias = Literal["auto", "reflink", "hardlink", "symlink", "copy"]
HOWS: tuple[How, ...] = ("auto", "reflink", "hardlink", "symlink", "copy")
_WORDS = {
    "reflink": "share blocks",
    "hardlink": "make hard links",
    "symlink": "make symbolic links",
}
_FICLONE = 0x40049409
"""linux/fs.h; the module fcntl names it from Python 3.12 on."""
_TRIED_BYTES = 1 << 16
"""Some file systems keep less than a block where no block is to be shared."""


class Abilities(NamedTuple):
    """What the file system of a folder can do with files of the disk of a source."""

    reflink: bool
    hardlink: bool
    symlink: bool


class Placed(NamedTuple):
    """How a content came under its new name, and the bytes that were written for it."""

    method: Method
    written: int


_tried: dict[tuple[int, int], Abilities] = {}
"""By the devices of source and folder."""


def abilities(source: str | None, folder: str) -> Abilities:
    """Found by trying in `folder`, or the nearest above it that is there; once for each pair of disks.

    Without a source, what can be done with files of the folder's own disk. OutputError where nothing
    can be written there.
    """
    folder = _nearest(folder)
    device = os.stat(folder).st_dev
    file = SourceFile(os.path.realpath(source)) if source else None
    try:
        other = os.fstat(file.descriptor).st_dev if file else device
        if (other, device) not in _tried:
            _tried[other, device] = _try(file if other != device else None, folder)
        return _tried[other, device]
    finally:
        if file:
            file.close()


def _nearest(folder: str) -> str:
    folder = os.path.realpath(folder)
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder


def file_system(folder: str) -> str:
    """What kind of disk a folder is on, as its system calls it; empty where that is not told."""
    place, found, length = os.path.join(_nearest(folder), ""), "", 0
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(b" - ")
        point = os.path.join(_unescaped(before.split()[4]), "")
        if (
            place.startswith(point) and len(point) >= length
        ):  # of two at one place the later is seen
            found, length = after.split()[0].decode("ascii", "replace"), len(point)
    return found


def _unescaped(path: bytes) -> str:
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), path))


def _try(other: SourceFile | None, folder: str) -> Abilities:
    """Subvolumes are disks of their own but can share blocks: there the source itself is cloned."""
    with staged_folder(os.path.join(folder, "links")) as staged:
        file, second, hard, soft = (os.path.join(staged.path, name) for name in "1234")
        with open(file, "w+b", buffering=0) as own, open(second, "wb", buffering=0) as empty:
            own.write(bytes(_TRIED_BYTES))
            reflink = clone(other.descriptor if other else own.fileno(), empty.fileno())
        return Abilities(
            reflink,
            other is None and _works(os.link, file, hard) and os.path.samefile(file, hard),
            _works(os.symlink, file, soft) and os.path.islink(soft),
        )


def _works(call: Callable[[str, str], object], old: str, new: str) -> bool:
    try:
        call(old, new)
    except OSError:
        return False
    return True


def method_for(source: str | None, folder: str, how: How, *, ours: bool = False) -> Method:
    """The method by which `place` will put `source` into `folder`; nothing is kept of the trying.

    `ours` says that the source is an entry of our own store; without a source, of one on the folder's
    own disk that may not be there yet. OptionError where `how` cannot be done.
    """
    if how == "copy":
        return how
    if how == "hardlink" and not ours:
        raise _refused(how, f"{source} is not our own: who writes into one name changes the other")
    can = abilities(source, folder)
    if how == "auto":
        return "hardlink" if ours and can.hardlink else "reflink" if can.reflink else "copy"
    if not getattr(can, how):
        raise _refused(how, _obstacle(source, folder, how))
    return how


def _obstacle(source: str | None, folder: str, how: Method) -> str:
    if source and how != "symlink" and os.stat(source).st_dev != os.stat(_nearest(folder)).st_dev:
        return f"{source} lies on another disk than {folder}"
    return f"the file system of {folder} cannot {_WORDS[how]}"


def _refused(how: How, why: str) -> OptionError:
    hint = "--link auto shares where that is possible, --link copy always copies"
    return OptionError("--link", how, why=why, hint=hint)


def place(source: str, target: str, how: How, *, ours: bool = False) -> Placed:
    """Put the content of `source` under the name `target`, which appears whole or not at all.

    Links on the way to the source are resolved first. DestinationExistsError where the name is taken,
    OptionError where `how` cannot be done, OutputError where the disk fails. With ``auto``, a link
    that is refused after all becomes a copy: a file can have only so many names.
    """
    source = os.path.realpath(source)
    method = method_for(source, os.path.dirname(target), how, ours=ours)
    file = SourceFile(source)
    try:
        if method == "symlink" and _named(
            os.symlink, _told(source, target, ours=ours), target, how
        ):
            return Placed(method, 0)
        if method == "hardlink" and _named(os.link, source, target, how):
            return Placed(method, 0)
        return _written(file, target, how)
    finally:
        file.close()


def _told(source: str, target: str, *, ours: bool) -> str:
    """What a symbolic link says: our store moves together with what is linked to it."""
    if not ours:
        return source
    return os.path.relpath(source, os.path.realpath(os.path.dirname(target)))


def _named(make: Callable[[str, str], object], source: str, target: str, how: How) -> bool:
    """Make a link; False where it is refused and `how` leaves the choice."""
    try:
        make(source, target)
    except FileExistsError as error:
        raise DestinationExistsError(target) from error
    except OSError as error:
        if how == "auto":
            return False
        raise cannot_write(error, target, 0) from error
    try:
        sync_folder(os.path.dirname(target))
    except OSError as error:
        raise unconfirmed(target, error) from error
    return True


def _written(file: SourceFile, target: str, how: How) -> Placed:
    with staged_file(target, file.size) as (descriptor, staged):
        shared = how in {"auto", "reflink"} and clone(file.descriptor, descriptor)
        if how == "reflink" and not shared:
            raise _refused(how, _obstacle(file.path, os.path.dirname(target), how))
        if not shared:
            copy_range(file, 0, file.size, descriptor, 0)
        file.check_unchanged()
        sync(descriptor)
        staged.publish(replace=False)
    return Placed("reflink", 0) if shared else Placed("copy", file.size)


def clone(source: int, descriptor: int) -> bool:
    """Let an empty file share all blocks of another; False where that cannot be done."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(descriptor, _FICLONE, source)
    except OSError:
        return False
    return True
