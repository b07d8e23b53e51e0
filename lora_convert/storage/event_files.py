"""Scalars in TensorBoard's event files, read as data: no protobuf, no TensorFlow.

An event file is a row of TFRecords (tensorflow, core/lib/io/record_writer.h): eight bytes of length, a
sum of those, the data, a sum of that; little endian. A sum is CRC-32C, rotated right by 15 bits, plus a
constant. The data is an ``Event`` (core/util/event.proto): step 2, summary 5; of a ``Summary.Value``
(core/framework/summary.proto): tag 1, simple_value 2, tensor 8.
"""

from __future__ import annotations

import struct
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import CorruptCheckpointError
from lora_convert.storage.files import BLOCK, SourceFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LARGEST_SCALAR = 1 << 16
"""Bytes of a record. Larger ones hold pictures or graphs and are passed over unread."""

_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8
_HEAD = 12
_SUM = 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT, _DOUBLE = 1, 2
"""``DataType`` of core/framework/types.proto."""


class Scalar(NamedTuple):
    """One value of one curve."""

    tag: str
    step: int
    value: float


class _MessageError(Exception):
    """A message is no row of fields."""


def scalars(path: str, tags: Collection[str]) -> Iterator[Scalar]:
    """The scalars of some tags, in the file's order.

    What a writer has not finished, at the end of the file, is left out; anything else that is not as
    it was written is a CorruptCheckpointError.
    """
    wanted = {tag.encode() for tag in tags}
    for start, data in _records(path):
        try:
            found = [*_scalars(data, wanted)]
        except _MessageError as error:
            raise _corrupt(path, start, "holds no event") from error
        yield from found


def _records(path: str) -> Iterator[tuple[int, bytes]]:
    """Where each record of up to `LARGEST_SCALAR` begins, and its data; memory holds a block."""
    with closing(SourceFile(path)) as file:
        window = _Window(file)
        start = 0
        while start + _HEAD <= file.size:
            head = window.read(start, _HEAD)
            length, of_length = struct.unpack("<QI", head)
            if masked_sum(head[:8]) != of_length:
                raise _corrupt(path, start, "has a length that disagrees with its sum")
            end = start + _HEAD + length + _SUM
            if end > file.size:
                return
            if length <= LARGEST_SCALAR:
                data = window.read(start + _HEAD, length)
                if masked_sum(data) != int.from_bytes(window.read(end - _SUM, _SUM), "little"):
                    raise _corrupt(path, start, "disagrees with its sum")
                yield start, data
            start = end


class _Window:
    """Small reads one after another, a block of the file at a time."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._start = 0
        self._block = b""

    def read(self, start: int, size: int) -> bytes:
        at = start - self._start
        if at < 0 or at + size > len(self._block):
            self._block = self._file.read(start, min(max(size, BLOCK), self._file.size - start))
            self._start, at = start, 0
        return self._block[at : at + size]


def _corrupt(path: str, start: int, problem: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(path, f"its record at byte {start:,} {problem}")


def _table() -> tuple[int, ...]:
    table = [*range(256)]
    for _ in range(8):
        table = [crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0) for crc in table]
    return tuple(table)


_TABLE = _table()


def masked_sum(data: bytes) -> int:
    """The sum that stands after `data` in a TFRecord.

    >>> hex(masked_sum(b"123456789"))  # CRC-32C: e3069283
    '0xc78ab0e5'
    """
    table = _TABLE
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17) + _MASK & 0xFFFFFFFF


def _scalars(event: bytes, wanted: Collection[bytes]) -> Iterator[Scalar]:
    step = 0
    summaries: list[bytes] = []
    for number, kind, value in _fields(event):
        if number == 2 and kind == _VARINT:
            step = _signed(value)
        elif number == 5 and kind == _BYTES:
            summaries.append(value)
    for summary in summaries:
        for number, kind, value in _fields(summary):
            if number == 1 and kind == _BYTES:
                found = _value(value, wanted)
                if found:
                    yield Scalar(found[0].decode(), step, found[1])


def _value(message: bytes, wanted: Collection[bytes]) -> tuple[bytes, float] | None:
    tag = b""
    number: float | None = None
    for field, kind, value in _fields(message):
        if field == 1 and kind == _BYTES:
            tag = value
        elif field == 2 and kind == _FIXED32:
            [number] = struct.unpack("<f", value)
        elif field == 8 and kind == _BYTES:
            number = _tensor(value)
    return (tag, number) if tag in wanted and number is not None else None


def _tensor(message: bytes) -> float | None:
    """The one number in a ``TensorProto``, where TensorFlow 2 and JAX put scalars."""
    dtype = 0
    numbers = b""
    for field, kind, value in _fields(message):
        if field == 1 and kind == _VARINT:
            dtype = value
        elif field in {4, 5, 6} and kind in {_BYTES, _FIXED32, _FIXED64}:
            numbers = value
    layout = {_FLOAT: "<f", _DOUBLE: "<d"}.get(dtype)
    if layout is None or len(numbers) != struct.calcsize(layout):
        return None
    number: float = struct.unpack(layout, numbers)[0]
    return number


def _fields(message: bytes) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and value of every field."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, kind, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in {_FIXED32, _FIXED64}:
            size = 4 if kind == _FIXED32 else 8
        else:
            raise _MessageError
        if at + size > len(message):
            raise _MessageError
        yield key >> 3, kind, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _MessageError


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
