"""Reading and writing by position, with and without the system's calls for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import lora_convert
from lora_convert.storage.positions import read_at, write_at
from tests.storage.making import peft_folder


@pytest.fixture(params=["system", "seeking"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "seeking":  # as on Windows
        for name in ("pread", "pwrite", "copy_file_range"):
            monkeypatch.delattr(os, name, raising=False)


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0))
    yield opened
    os.close(opened)


def test_what_is_written_is_read(descriptor: int) -> None:
    write_at(descriptor, b"world", 6)
    write_at(descriptor, b"hello ", 0)
    write_at(descriptor, b"", 100)
    assert read_at(descriptor, 11, 0) == b"hello world"
    assert read_at(descriptor, 5, 6) == b"world"
    assert read_at(descriptor, 100, 6) == b"world"
    assert read_at(descriptor, 1, 11) == b""


def test_short_calls_are_continued(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pread", "read"):
        if hasattr(os, name):
            real = getattr(os, name)
            monkeypatch.setattr(
                os, name, lambda d, size, *at, real=real: real(d, min(size, 3), *at)
            )
    for name in ("pwrite", "write"):
        if hasattr(os, name):
            real = getattr(os, name)
            monkeypatch.setattr(os, name, lambda d, data, *at, real=real: real(d, data[:3], *at))
    write_at(descriptor, bytes(range(100)), 7)
    assert read_at(descriptor, 100, 7) == bytes(range(100))


def test_conversions_are_the_same_either_way(tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a", width=70_000)
    for to in ("kohya", "diffusers"):
        result = lora_convert.convert(str(source), to, output=str(tmp_path / to))
        assert result.proof is not None
        assert result.proof.exact
