"""Files of one content are found, others told apart, and as little as possible is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_convert.storage import duplicates
from lora_convert.storage.duplicates import Sized, same_content

SIZE = 3_000_000
ALL = 1 << 40


def files(folder: Path, **contents: bytes) -> list[Sized]:
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return [Sized(str(folder / name), len(data)) for name, data in contents.items()]


def names(groups: tuple[tuple[Sized, ...], ...]) -> list[str]:
    return sorted("".join(os.path.basename(file.path) for file in group) for group in groups)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each read."""
    counted: list[int] = []
    real = duplicates.read_at

    def counting(descriptor: int, size: int, place: int) -> bytes:
        data = real(descriptor, size, place)
        counted.append(len(data))
        return data

    monkeypatch.setattr(duplicates, "read_at", counting)
    return counted


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_the_same_and_others(tmp_path: Path) -> None:
    first, second = os.urandom(SIZE), os.urandom(SIZE)
    some = files(tmp_path, a=first, b=second, c=first, d=second, e=first[:-1], f=first, g=b"")
    found = same_content(some, ALL)
    assert (names(found.groups), found.undecided) == (["acf", "bd"], ())


@pytest.mark.parametrize("at", [0, 4096, 5000, 131_071, 131_072, SIZE // 2, SIZE - 4097, SIZE - 1])
def test_one_byte_tells_files_apart(at: int, tmp_path: Path) -> None:
    data = os.urandom(SIZE)
    some = files(tmp_path, a=data, b=changed(data, at), c=data)
    assert names(same_content(some, ALL).groups) == ["ac"]


def test_what_differs_in_a_sample_is_not_read(tmp_path: Path, read: list[int]) -> None:
    data = os.urandom(SIZE)
    some = files(tmp_path, a=data, b=changed(data, SIZE // 2), c=data[:-1], d=changed(data, 0))
    assert same_content(some, ALL) == ((), ())
    assert sum(read) == 3 * 3 * 4096


def test_reading_ends_where_files_differ(tmp_path: Path, read: list[int]) -> None:
    data = os.urandom(SIZE)
    assert same_content(files(tmp_path, a=data, b=changed(data, 200_000)), ALL) == ((), ())
    assert sum(read) == 2 * (3 * 4096 + 2 * 131_072)


def test_no_more_is_read_than_was_said(tmp_path: Path, read: list[int]) -> None:
    small, large = os.urandom(SIZE), os.urandom(2 * SIZE)
    some = files(tmp_path, a=large, b=large, c=small, d=small)
    found = same_content(some, 3 * SIZE)
    assert names(found.groups) == ["cd"]
    assert names((found.undecided,)) == ["ab"]
    assert sum(read) == 2 * SIZE + 4 * 3 * 4096


def test_many_of_one_content(tmp_path: Path) -> None:
    data = os.urandom(1 << 17)
    some = files(tmp_path, **{f"{number:04}": data for number in range(300)})
    [group] = same_content(some, ALL).groups
    assert [*group] == some


def test_what_is_gone_cut_or_a_link_is_the_same_as_nothing(tmp_path: Path) -> None:
    data = os.urandom(SIZE)
    some = files(tmp_path, a=data, b=data, c=data, d=data)
    (tmp_path / "c").unlink()
    os.truncate(tmp_path / "d", 2_000_000)
    assert names(same_content(some, ALL).groups) == ["ab"]
    (tmp_path / "b").unlink()
    if os.name != "nt":
        (tmp_path / "b").symlink_to(tmp_path / "a")
        assert same_content(some, ALL) == ((), ())
