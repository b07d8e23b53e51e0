"""Remembered hashes: never of what a file was before."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError, VerificationError
from lora_convert.storage import hashes
from lora_convert.storage.files import SourceFile
from lora_convert.storage.hashes import hash_of, hash_once, hash_written, known, learn
from tests.storage.faults import failing

CONTENT = os.urandom(300_000)
RIGHT = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that was changed long enough ago."""
    monkeypatch.setattr(hashes, "_SETTLED", 0)
    path = tmp_path / "base"
    path.write_bytes(CONTENT)
    time.sleep(0.02)
    return path


@pytest.fixture
def document(tmp_path: Path) -> str:
    return str(tmp_path / "known.json")


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(file: SourceFile) -> str:
        raise AssertionError("it is hashed again")

    monkeypatch.setattr(hashes, "hash_of", read)


def test_a_file_is_hashed_once(base: Path, document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hash_once(document, str(base)) == RIGHT
    forbid_reading(monkeypatch)
    assert hash_once(document, str(base)) == RIGHT
    (base.parent / "link").symlink_to("base")
    assert hash_once(document, str(base.parent / "link")) == RIGHT


def in_place(base: Path) -> None:
    with base.open("r+b") as file:
        file.write(b"other")


def by_another(base: Path) -> None:
    other = base.parent / "other"
    other.write_bytes(CONTENT[::-1])
    other.replace(base)


def longer(base: Path) -> None:
    with base.open("ab") as file:
        file.write(b"more")


@pytest.mark.skipif(os.name == "nt", reason="the time of a change is not told there")
@pytest.mark.parametrize("change", [in_place, by_another, longer])
def test_a_changed_file_is_hashed_again(
    change: Callable[[Path], None], base: Path, document: str
) -> None:
    """Also where its times are set back, as by tools that keep them."""
    status = base.stat()
    assert hash_once(document, str(base)) == RIGHT
    change(base)
    os.utime(base, ns=(status.st_atime_ns, status.st_mtime_ns))
    time.sleep(0.02)
    found = hash_once(document, str(base))
    assert found == hashlib.sha256(base.read_bytes()).hexdigest() != RIGHT


@pytest.mark.parametrize("number", range(5))
def test_each_number_counts(
    number: int, base: Path, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hash_once(document, str(base)) == RIGHT
    read = json.loads(Path(document).read_text())
    (state,) = read["files"]
    numbers = state.split(":")
    numbers[number] = str(int(numbers[number]) + 1)
    Path(document).write_text(json.dumps({"files": {":".join(numbers): "0" * 64}}))
    assert hash_once(document, str(base)) == RIGHT


def test_what_changed_just_now_is_not_remembered(
    base: Path, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change could come within the same tick of the clock."""
    monkeypatch.setattr(hashes, "_SETTLED", 10**12)
    assert hash_once(document, str(base)) == RIGHT
    assert not Path(document).exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"files": []}',
        '{"files": {"": "%s"}}' % ("0" * 64),
        '{"files": {"1:2": 3}, "recipes": null}',
        '{"files": {"1:2": "00"}}',
        "\x00" * 100,
    ],
)
def test_a_broken_document_counts_as_empty(text: str, base: Path, document: str) -> None:
    Path(document).write_text(text)
    assert known(document) == ({}, {})
    assert hash_once(document, str(base)) == RIGHT
    assert list(known(document).files.values()) == [RIGHT]


@pytest.mark.parametrize("name", ["open", "pwrite", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_what_cannot_be_written_is_not_remembered(
    name: str, code: int, base: Path, document: str
) -> None:
    learn(document, recipes={"a": RIGHT})
    before = Path(document).read_bytes()
    with failing(name, code, 0):
        assert hash_once(document, str(base)) == RIGHT
    assert Path(document).read_bytes() == before
    assert sorted(os.listdir(base.parent)) == ["base", "known.json"]


def test_the_oldest_are_forgotten_first(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "_MOST", 3)
    for name in "abcde":
        learn(document, recipes={name: RIGHT})
    assert list(known(document).recipes) == ["c", "d", "e"]


def test_a_file_that_changes_while_it_is_hashed(base: Path, document: str) -> None:
    file = SourceFile(str(base))
    os.utime(base, ns=(1, 1))
    with pytest.raises(CorruptCheckpointError, match="changed while it was read"):
        hash_of(file)
    file.close()
    with pytest.raises(CheckpointNotFoundError):
        hash_once(document, str(base.parent / "nothing"))


@pytest.mark.parametrize("damage", [b"x", CONTENT[:-1], CONTENT[:-1] + b"?" + b"more"])
def test_a_copy_that_reads_back_differently(damage: bytes, base: Path) -> None:
    copy = base.parent / "copy"
    copy.write_bytes(damage)
    file = SourceFile(str(base))
    with copy.open("rb") as other, pytest.raises(VerificationError, match="reads back differently"):
        hash_written(other.fileno(), file)
    file.close()
