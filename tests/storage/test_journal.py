"""The journal: each item as it was last written, whatever ends the writing."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lora_convert.errors import CorruptCheckpointError, OutputError
from lora_convert.storage import journal
from lora_convert.storage.journal import Entry, fingerprint, is_done, opened, read
from lora_convert.storage.positions import write_at
from tests.storage.disks import cannot_mount, memory_disk
from tests.storage.faults import FAILURES, failing

ENTRIES = (
    Entry("checkpoint-500", "planned", "a"),
    Entry("checkpoint-1000", "planned", "b"),
    Entry("checkpoint-500", "done", "a", {"size": 12, "name": "Schuhe – 鞋\n\udcff"}),
    Entry("checkpoint-1000", "failed", "b", {"error": 'no "space"\x00\x1b'}),
)


def last(entries: tuple[Entry, ...]) -> dict[str, Entry]:
    return {entry.item: entry for entry in entries}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of all entries."""
    target = tmp_path / "journal.jsonl"
    with opened(str(target)) as one:
        for entry in ENTRIES:
            one.add(entry)
    return target


def test_the_last_state_of_each_item(path: Path) -> None:
    assert read(str(path)) == last(ENTRIES)
    with opened(str(path)) as again:
        assert (again.last, again.cut) == (last(ENTRIES), 0)
        again.add(Entry("checkpoint-1000", "done", "b"))
        assert is_done(again.last, "checkpoint-1000", "b")
    assert is_done(read(str(path)), "checkpoint-1000", "b")
    assert not is_done(read(str(path)), "checkpoint-1000", "changed")
    assert not is_done(read(str(path)), "checkpoint-1", "b")
    lines = path.read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2, 3, 4]


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read(str(tmp_path / "none")) == {}
    with opened(str(tmp_path / "new")) as new:
        assert new.last == {}
    assert read(str(tmp_path / "new")) == {}


def test_cut_at_every_byte(path: Path) -> None:
    data = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        whole = sum(end <= size for end in ends)
        assert read(str(path)) == last(ENTRIES[:whole])
        with opened(str(path)) as again:
            assert again.cut == size - ([0, *ends][whole])
            again.add(ENTRIES[whole % 4])
        found = read(str(path))
        assert found == last((*ENTRIES[:whole], ENTRIES[whole % 4]))
        if whole < 4:
            assert path.read_bytes() == data[: ends[whole]]


@pytest.mark.parametrize("tail", [b"\x00" * 90, b"\r\r", b'{"sum":"', b"\x00" * 5 + b"}\n", b"\n"])
def test_a_torn_tail_of_any_bytes(tail: bytes, path: Path) -> None:
    """Power cuts leave sizes without data, and sectors in any order."""
    data = path.read_bytes()
    path.write_bytes(data + tail)
    assert read(str(path)) == last(ENTRIES)
    with opened(str(path)) as again:
        assert again.cut == len(tail)
    assert path.read_bytes() == data


def test_a_change_of_any_byte_before_the_last_line(path: Path) -> None:
    data = path.read_bytes()
    end = data[:-1].rindex(b"\n") + 1
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        path.write_bytes(changed)
        if at >= end - 1:  # without the end of the last but one, both look like one torn line
            assert read(str(path)) == last(ENTRIES[: 3 if at >= end else 2])
            continue
        with pytest.raises(CorruptCheckpointError, match=r"line [1-4] is") as caught:
            read(str(path))
        assert "run the command again" in caught.value.hint
        with pytest.raises(CorruptCheckpointError), opened(str(path)):
            pass
        assert path.read_bytes() == changed


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 2, 3), (0, 0, 1, 2, 3), (1, 2, 3)])
def test_lines_that_are_lost_or_moved(order: tuple[int, ...], path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[number] for number in order))
    with pytest.raises(CorruptCheckpointError, match="not the one that was written there"):
        read(str(path))


@pytest.mark.parametrize(
    "fields",
    [
        {"item": "x", "state": "new", "fingerprint": ""},
        {"item": "x", "state": "done", "fingerprint": "", "more": 1},
        {"item": "x"},
        {"item": [], "state": "done", "fingerprint": ""},
        {"item": "x", "state": {}, "fingerprint": ""},
    ],
)
def test_lines_of_another_version(fields: dict[str, Any], path: Path) -> None:
    body = json.dumps({"number": 4, **fields}).encode()
    with path.open("ab") as file:
        file.write(b'{"sum":"' + journal._sum(body) + b'",' + body[1:] + b"\n")
    with pytest.raises(CorruptCheckpointError, match="line 5"):
        read(str(path))


def test_what_is_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError), opened(str(tmp_path)):
        pass
    with pytest.raises(CorruptCheckpointError):
        read(str(tmp_path))
    (tmp_path / "link").symlink_to("victim")
    with pytest.raises(OutputError), opened(str(tmp_path / "link")):
        pass
    assert os.listdir(tmp_path) == ["link"]
    monkeypatch.setattr(journal, "MAX_BYTES", 10)
    (tmp_path / "large").write_bytes(bytes(11))
    with pytest.raises(CorruptCheckpointError, match="the limit is 10"):
        read(str(tmp_path / "large"))


@pytest.mark.parametrize("name", ["open", "pwrite", "fsync", "ftruncate"])
@pytest.mark.parametrize("torn", [b"", b'{"sum"'])
def test_every_call_can_fail(name: str, torn: bytes, path: Path) -> None:
    data = path.read_bytes()
    for failure in FAILURES:
        for after in range(10):
            path.write_bytes(data + torn)
            with failing(name, getattr(errno, failure), after) as count:
                try:
                    with opened(str(path)) as again:
                        again.add(ENTRIES[0])
                except OutputError:
                    pass
                else:
                    assert read(str(path)) == last((*ENTRIES, ENTRIES[0]))
            assert read(str(path)) in (last(ENTRIES), last((*ENTRIES, ENTRIES[0])))
            if count[0] <= after:
                break
        else:
            pytest.fail(f"{name} is called more than 10 times")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("cutting", [True, False])
def test_after_half_a_line_the_next_is_whole(
    error: BaseException, cutting: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where what was written of it cannot be taken back."""
    data = path.read_bytes()

    def half(descriptor: int, line: bytes, place: int) -> None:
        write_at(descriptor, line[: len(line) // 2], place)
        raise error

    def fail(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with opened(str(path)) as again:
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr(journal, "write_at", half)
                if not cutting:
                    patch.setattr(os, "ftruncate", fail)
                with pytest.raises((OutputError, KeyboardInterrupt)):
                    again.add(Entry("x" * 500, "planned", ""))
            assert again.last == last(ENTRIES)
            assert read(str(path)) == last(ENTRIES)
            assert (path.read_bytes() == data) == cutting
        again.add(ENTRIES[0])
    assert read(str(path)) == last((*ENTRIES, ENTRIES[0]))


@pytest.mark.skipif(bool(cannot_mount()), reason=cannot_mount())
def test_a_full_disk() -> None:
    with memory_disk(64 << 10) as disk:
        path = disk / "journal.jsonl"
        added = 0
        with opened(str(path)) as one, pytest.raises(OutputError):
            for added in range(2000):
                one.add(Entry(f"checkpoint-{added}", "planned", "x" * 100))
        assert len(read(str(path))) == added > 100
        with opened(str(path)) as again:
            assert (len(again.last), again.cut) == (added, 0)


def test_a_fingerprint_is_of_values() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
