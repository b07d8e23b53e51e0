"""The entries of a zip file, of the kind that ``torch.save`` writes: stored, never compressed.

Stricter than the format: an entry's local and central records must agree, entries may neither overlap
nor leave room between them, and nothing stands before the first or after the end. What one reader
would find and another not is refused (APPNOTE 6.3.10; torch 2.13, caffe2/serialize/inline_container.cc).
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CorruptCheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lora_convert.storage.files import SourceFile

MAX_ENTRIES = 200_000
"""As many as tensors in a header."""
MAX_DIRECTORY = 100_000_000
"""Bytes of their records."""
SMALL = 64 << 20
"""Bytes that are checked at the door; checksums of larger entries are checked when they are used."""
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_SIZE_AFTER = 1 << 3
"""Flag: checksum and sizes follow the data."""
_LEVEL = 3 << 1
"""Flags: how hard was tried to compress."""
_UTF8 = 1 << 11
_FOLDER = 1 << 4
"""Attribute: a folder. torch's reader gives no bytes of such an entry, and says nothing."""
_AGAIN = "download or save the file again"


class Entry(NamedTuple):
    """A file of a zip."""

    name: str
    start: int
    """Offset of the first byte of its data."""
    size: int
    """Bytes that it takes up."""
    crc: int
    compressed: bool


class _Record(NamedTuple):
    """An entry as the directory at the end gives it."""

    name: str
    flags: int
    method: int
    """How it is compressed; 0 where it is stored."""
    crc: int
    size: int
    packed: int
    """Bytes that it takes up."""
    header: int
    """Offset of its local record."""


def read_entries(file: SourceFile) -> dict[str, Entry]:
    """The entries by name; CorruptCheckpointError where anything is not as it must be."""
    try:
        directory, size, count = _directory(file)
        records = [*_records(file, file.read(directory, size), count)]
    except struct.error as error:
        raise _broken(file, "its zip directory is cut") from error
    entries: dict[str, Entry] = {}
    place = 0
    for record in sorted(records, key=lambda record: record.header):
        if record.name in entries:
            raise _broken(file, f"its zip directory names {record.name!r} twice")
        if record.header != place:
            problem = "overlaps another" if record.header < place else "leaves room before it"
            raise _broken(file, f"its zip entry {record.name!r} {problem}")
        entry = _entry(file, record)
        entries[record.name] = entry
        place = entry.start + entry.size
        if place > directory:
            raise _broken(file, f"its zip entry {record.name!r} reaches into the directory")
        if record.flags & _SIZE_AFTER:
            place += _descriptor(file, record, place, directory)
    if place != directory:
        raise _broken(file, f"has {directory - place:,} bytes before its zip directory")
    return entries


def _broken(file: SourceFile, problem: str, why: str = "") -> CorruptCheckpointError:
    return CorruptCheckpointError(file.path, problem, why=why, hint=_AGAIN)


def _directory(file: SourceFile) -> tuple[int, int, int]:
    """Offset, bytes and number of entries of the directory."""
    end = file.size - _END.size
    if end < 0 or file.read(end, 4) != b"PK\5\6":
        raise _broken(
            file, "its zip directory is not at the end", "the file is truncated, or more follows"
        )
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack(file.read(end, _END.size))
    if disk or first_disk or comment or here != count:
        raise _broken(file, "its zip directory is one of several, or has a comment")
    locator = end - _LOCATOR.size
    if locator >= 0 and file.read(locator, 4) == b"PK\6\7":
        end, size, offset, count = _directory_64(file, locator, (size, offset, count))
    if count > MAX_ENTRIES or size > MAX_DIRECTORY:
        raise _broken(file, f"lists {count:,} zip entries; the limit is {MAX_ENTRIES:,}")
    if offset + size != end:
        raise _broken(file, "its zip directory is not where its end says")
    return offset, size, count


def _directory_64(
    file: SourceFile, locator: int, short: tuple[int, int, int]
) -> tuple[int, int, int, int]:
    """Where the long directory ends, its bytes, offset and number of entries."""
    _, disk, end, disks = _LOCATOR.unpack(file.read(locator, _LOCATOR.size))
    if end + _END_64.size != locator or disk or disks > 1:
        raise _broken(file, "its long zip directory is not where it must be")
    record = _END_64.unpack(file.read(end, _END_64.size))
    mark, rest, _, _, disk, first_disk, here, count, size, offset = record
    if mark != b"PK\6\6" or rest != _END_64.size - 12 or disk or first_disk or here != count:
        raise _broken(file, "its long zip directory is broken")
    limits = (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF)
    if any(
        a not in (b, most) for a, b, most in zip(short, (size, offset, count), limits, strict=True)
    ):
        raise _broken(file, "its two zip directories differ")
    return end, size, offset, count


def _records(file: SourceFile, data: bytes, count: int) -> Iterator[_Record]:
    at = 0
    for _ in range(count):
        fields = _CENTRAL.unpack_from(data, at)
        (
            mark,
            _,
            _,
            flags,
            method,
            _,
            _,
            crc,
            packed,
            size,
            named,
            extra,
            comment,
            disk,
            _,
            attributes,
            header,
        ) = fields
        if mark != b"PK\1\2":
            raise _broken(file, "its zip directory is broken")
        at += _CENTRAL.size
        name = _name(file, data[at : at + named], flags)
        at += named
        sizes = _long_sizes(file, data[at : at + extra], (size, packed, header))
        at += extra + comment
        known_flags = _SIZE_AFTER | _UTF8 | (_LEVEL if method else 0)
        if flags & ~known_flags or (not method and sizes[0] != sizes[1]) or disk:
            raise _broken(file, f"its zip entry {name!r} is encrypted or of another kind")
        if sizes[0] and (attributes & _FOLDER or name.endswith("/")):
            raise _broken(file, f"its zip entry {name!r} is a folder that holds bytes")
        yield _Record(name, flags, method, crc, *sizes)
    if at != len(data):
        raise _broken(file, "its zip directory holds more than it lists")


def _name(file: SourceFile, data: bytes, flags: int) -> str:
    try:
        name = data.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise _broken(file, "its zip directory holds a name that is no text") from error
    if not name or "\0" in name or "\\" in name or name.startswith("/") or ".." in name.split("/"):
        raise _broken(file, f"its zip directory holds the name {name[:80]!r}")
    return name


def _long_sizes(
    file: SourceFile, extra: bytes, short: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Size, packed size and offset, with those too long for 32 bits taken from the extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        at += 4
        if kind == 1:
            longer = iter(struct.unpack_from(f"<{min(length, 24) // 8}Q", extra, at))
            size, packed, header = (
                next(longer, value) if value == 0xFFFFFFFF else value for value in short
            )
            return size, packed, header
        at += length
    return short


def _entry(file: SourceFile, record: _Record) -> Entry:
    """The entry, once its local record agrees with the directory's."""
    fields = _LOCAL.unpack(file.read(record.header, _LOCAL.size))
    mark, _, flags, method, _, _, crc, packed, size, named, extra = fields
    start = record.header + _LOCAL.size
    name = _name(file, file.read(start, named), flags)
    known = (size, packed, 0)
    if 0xFFFFFFFF in known:
        known = _long_sizes(file, file.read(start + named, extra), known)
    after = bool(flags & _SIZE_AFTER) and not any((crc, packed, size))
    same = after or (crc, *known[:2]) == (record.crc, record.size, record.packed)
    told = (name, flags, method)
    if mark != b"PK\3\4" or told != (record.name, record.flags, record.method) or not same:
        raise _broken(file, f"the two records of its zip entry {record.name!r} differ")
    return Entry(name, start + named + extra, record.packed, record.crc, bool(method))


def _descriptor(file: SourceFile, record: _Record, place: int, directory: int) -> int:
    """Bytes of what follows the data of an entry whose sizes follow it."""
    data = file.read(place, min(24, directory - place))
    crc, sizes = struct.pack("<I", record.crc), (record.packed, record.size)
    for signature in (b"PK\7\10", b""):
        for form in ("<QQ", "<II") if max(sizes) < 1 << 32 else ("<QQ",):
            descriptor = signature + crc + struct.pack(form, *sizes)
            if data.startswith(descriptor):
                return len(descriptor)
    raise _broken(file, f"what follows its zip entry {record.name!r} does not describe it")


class Checksums:
    """The checksums of a file's entries, and which of them have been checked."""

    def __init__(self, file: SourceFile, entries: Iterable[Entry]) -> None:
        self.file = file
        self.unchecked = {entry.start: entry for entry in entries if entry.size}
        self.count = len(self.unchecked)

    def check_small(self, first: Entry) -> None:
        """Check `first`, and then the smallest entries, up to `SMALL` bytes in all."""
        left = SMALL
        for entry in sorted(self.unchecked.values(), key=lambda e: (e is not first, e.size)):
            if entry.size > left and entry is not first:
                return
            left -= entry.size
            self._check(entry)

    def check(self, starts: Iterable[int]) -> None:
        """Check the entries that hold these offsets."""
        if not self.unchecked:
            return
        places = sorted(self.unchecked)
        for start in starts:
            at = bisect_right(places, start) - 1
            entry = self.unchecked.get(places[at]) if at >= 0 else None
            if entry is not None and start < entry.start + entry.size:
                self._check(entry)

    def check_all(self) -> None:
        """Check every entry that has not been checked yet."""
        for entry in [*self.unchecked.values()]:
            self._check(entry)

    def _check(self, entry: Entry) -> None:
        crc = 0
        for block in self.file.blocks(entry.start, entry.size):
            crc = zlib.crc32(block, crc)
        if crc != entry.crc:
            problem = f"its zip entry {entry.name!r} is damaged"
            why = f"its checksum is {crc:08x}, the directory says {entry.crc:08x}"
            raise _broken(self.file, problem, why)
        del self.unchecked[entry.start]
