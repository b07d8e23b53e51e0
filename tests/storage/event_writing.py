"""TensorBoard's event files, written by the published formats alone: no code under test has a part in it.

TFRecord: tensorflow, core/lib/io/record_writer.h; the sum: core/lib/hash/crc32c.h (CRC-32C, here bit by
bit); messages: core/util/event.proto and core/framework/summary.proto, in protobuf's wire format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path


def crc32c(data: bytes) -> int:
    """Castagnoli's sum, a bit at a time: x^32 divided by 0x1EDC6F41, both bit orders reflected."""
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            odd = (register ^ byte >> bit) & 1
            register >>= 1
            if odd:
                register ^= 0x82F63B78
    return register ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    rotated = (crc >> 15) | (crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) % 2**32)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(number: int) -> bytes:
    number %= 2**64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def bytes_field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def simple(value: float) -> bytes:
    return varint(2 << 3 | 5) + struct.pack("<f", value)


def tensor(value: float, *, dtype: int = 1, content: bool = True) -> bytes:
    """A scalar as TensorFlow 2 keeps it: ``tensor_content``, or ``float_val`` / ``double_val`` packed."""
    number = struct.pack("<f" if dtype == 1 else "<d", value)
    place = 4 if content else 4 + dtype
    shape = bytes_field(2, b"")
    return bytes_field(8, varint(1 << 3) + varint(dtype) + shape + bytes_field(place, number))


def event(step: int, **values: float | bytes) -> bytes:
    """An event; ``__`` in a name stands for the slash of a tag."""
    wall_time = varint(1 << 3 | 1) + struct.pack("<d", 1.7e9 + step)
    summary = b""
    for name, value in values.items():
        body = value if isinstance(value, bytes) else simple(value)
        summary += bytes_field(1, bytes_field(1, name.replace("__", "/").encode()) + body)
    return wall_time + varint(2 << 3) + varint(step) + bytes_field(5, summary)


def version() -> bytes:
    """The first record of every file."""
    return varint(1 << 3 | 1) + struct.pack("<d", 1.7e9) + bytes_field(3, b"brain.Event:2")


def event_file(path: Path, events: Iterable[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(record, [version(), *events])))
    return path


def curve(path: Path, tag: str, points: Iterable[tuple[int, float]]) -> Path:
    """A file of one curve."""
    return event_file(path, (event(step, **{tag: value}) for step, value in points))
