"""TensorBoard's event files: scalars are read, damage is told, nothing else is kept."""

from __future__ import annotations

import math
import random
import struct
import tracemalloc
from pathlib import Path

import pytest

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.storage.event_files import LARGEST_SCALAR, Scalar, masked_sum, scalars
from tests.storage.event_writing import (
    bytes_field,
    crc32c,
    curve,
    event,
    event_file,
    masked,
    record,
    tensor,
    varint,
    version,
)

TAGS = ("loss", "loss/average")


def read(path: Path, *tags: str) -> list[Scalar]:
    return [*scalars(str(path), tags or TAGS)]


def test_the_sum_is_the_published_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283, "the check value of CRC-32C"
    assert crc32c(bytes(32)) == 0x8A9136AA, "RFC 3720, B.4"
    for data in (b"", b"a", bytes(range(256)), random.Random(0).randbytes(1000)):
        assert struct.pack("<I", masked_sum(data)) == masked(data)


def test_scalars_of_the_wanted_tags_in_the_files_order(tmp_path: Path) -> None:
    events = [
        event(1, loss=0.5, lr=1e-4),
        event(2, loss__average=0.25),
        event(7, lr=1e-4),
        event(300, loss=0.125),
        event(3, loss=1.0),
    ]
    path = event_file(tmp_path / "events.out.tfevents.1", events)
    assert read(path) == [
        Scalar("loss", 1, 0.5),
        Scalar("loss/average", 2, 0.25),
        Scalar("loss", 300, 0.125),
        Scalar("loss", 3, 1.0),
    ]
    assert read(path, "lr")[0].value == pytest.approx(1e-4)
    assert read(path, "los", "LOSS") == []


@pytest.mark.parametrize("content", [True, False])
@pytest.mark.parametrize("dtype", [1, 2])
def test_scalars_that_tensorflow_2_keeps_in_tensors(
    dtype: int, content: bool, tmp_path: Path
) -> None:
    value = tensor(0.375, dtype=dtype, content=content)
    path = event_file(tmp_path / "events", [event(4, loss=value)])
    assert read(path) == [Scalar("loss", 4, 0.375)]


def test_values_that_are_no_scalar_of_ours_are_passed_over(tmp_path: Path) -> None:
    image = bytes_field(4, bytes_field(4, b"\x89PNG"))
    text = tensor(0.0, dtype=7)
    vector = bytes_field(8, varint(1 << 3) + varint(1) + bytes_field(4, bytes(12)))
    events = [event(n, loss=value) for n, value in enumerate([image, text, vector, b""])]
    assert read(event_file(tmp_path / "events", [*events, event(9, loss=2.0)])) == [
        Scalar("loss", 9, 2.0)
    ]


def test_what_is_not_finite_and_steps_below_zero_are_kept(tmp_path: Path) -> None:
    path = curve(tmp_path / "events", "loss", [(-3, math.inf), (2**40, math.nan)])
    first, second = read(path)
    assert first == ("loss", -3, math.inf)
    assert second.step == 2**40
    assert math.isnan(second.value)


def test_a_tail_that_was_not_finished_is_left_out_wherever_it_was_cut(tmp_path: Path) -> None:
    whole = record(version()) + record(event(1, loss=0.5))
    last = record(event(2, loss=0.25))
    path = tmp_path / "events"
    for length in range(len(last)):
        path.write_bytes(whole + last[:length])
        assert read(path) == [Scalar("loss", 1, 0.5)], length
    path.write_bytes(whole + last)
    assert len(read(path)) == 2
    path.write_bytes(b"")
    assert read(path) == []


def test_every_flipped_bit_is_found_or_makes_the_tail_shorter(tmp_path: Path) -> None:
    data = b"".join(map(record, [version(), event(1, loss=0.5), event(2, loss=0.25)]))
    path = tmp_path / "events"
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(CorruptCheckpointError, match="its record at byte "):
            read(path)


def test_a_sound_record_that_holds_no_message_is_told(tmp_path: Path) -> None:
    path = tmp_path / "events"
    for data in (b"\x08", b"\x2a\x05ab", b"\x0b", b"\xff" * 12, b"\x2a\x03\x0a\x05a", b"\x0d\x00"):
        path.write_bytes(record(version()) + record(data))
        with pytest.raises(CorruptCheckpointError, match="byte 40 holds no event"):
            read(path)


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_are_read_or_told(seed: int, tmp_path: Path) -> None:
    drawn = random.Random(seed)
    sound = [version(), *(event(n, loss=n / 7, lr=1.0) for n in range(5))]
    path = tmp_path / "events"
    for _ in range(50):
        parts = [bytearray(data) for data in sound]
        for part in parts:
            for _ in range(drawn.randrange(3)):
                at = drawn.randrange(len(part) + 1)
                part[at : at + drawn.randrange(3)] = drawn.randbytes(drawn.randrange(4))
        data = b"".join(map(record, map(bytes, parts)))
        path.write_bytes(data[: drawn.randrange(len(data))] if drawn.random() < 0.3 else data)
        try:
            found = read(path)
        except CorruptCheckpointError:
            continue
        assert all(scalar.tag in TAGS for scalar in found)


def test_other_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b'{"step": 1, "loss": 0.5}\n')
    with pytest.raises(CorruptCheckpointError, match="length that disagrees with its sum"):
        read(path)
    with pytest.raises(CheckpointNotFoundError):
        read(tmp_path / "none")
    with pytest.raises(CorruptCheckpointError, match="not a regular file"):
        read(tmp_path)


def test_pictures_are_passed_over_unread_and_memory_holds_a_block(tmp_path: Path) -> None:
    picture = event(1, sample=bytes_field(4, bytes(4 << 20)))
    path = tmp_path / "events"
    with path.open("wb") as file:
        for number in range(12):
            length = struct.pack("<Q", len(picture))
            file.write(length + masked(length) + picture + b"none")  # its sum is not asked for
            file.write(record(event(number, loss=0.5)))
    assert len(picture) > LARGEST_SCALAR
    tracemalloc.start()
    assert len(read(path)) == 12
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()
