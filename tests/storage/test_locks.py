"""One writer at a time: who has to wait, who is told, and what the dead leave."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_convert.errors import EXIT_REFUSED, LockedError, OutputError
from lora_convert.storage import locks
from lora_convert.storage.locks import LOCK, held

if os.name == "nt":
    pytest.skip("processes are forked", allow_module_level=True)

from tests.storage.forking import together

TURNS = 60


def child(work: Callable[[Callable[[], None]], None]) -> int:
    """A process that works; returns when it calls what it is given."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        try:
            work(lambda: os.close(writing))
        finally:
            os._exit(0)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    return process


def holder(folder: Path, *, alive: float = 60.0) -> int:
    def work(ready: Callable[[], None]) -> None:
        with held(str(folder)):
            ready()
            time.sleep(alive)

    return child(work)


def test_a_second_run_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(LockedError) as caught, held(str(tmp_path)):
            pass
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    assert caught.value.exit_code == EXIT_REFUSED
    assert caught.value.pid == str(process)
    assert caught.value.host == os.uname().nodename
    assert f"process {process} on" in str(caught.value)
    assert "then run the command again" in caught.value.hint


def test_a_dead_holders_lock_is_free_at_once(tmp_path: Path) -> None:
    process = holder(tmp_path)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert os.listdir(tmp_path) == [LOCK]
    started = time.monotonic()
    with held(str(tmp_path)) as locked:
        assert locked
        assert (tmp_path / LOCK).read_text().split()[0] == str(os.getpid())
    assert time.monotonic() - started < 0.5
    assert os.listdir(tmp_path) == []


def test_a_waiting_run_gets_its_turn(tmp_path: Path) -> None:
    process = holder(tmp_path, alive=0.3)
    with pytest.raises(LockedError), held(str(tmp_path), wait=0.05):
        pass
    with held(str(tmp_path), wait=30) as locked:
        assert locked
    os.waitpid(process, 0)


def test_part_of_this_process_is_another_too(tmp_path: Path) -> None:
    with held(str(tmp_path)):
        with pytest.raises(LockedError), held(str(tmp_path)):
            pass
        assert os.listdir(tmp_path) == [LOCK]
    with held(str(tmp_path)):
        pass


def test_a_forked_child_does_not_hold_it(tmp_path: Path) -> None:
    """A pool's workers can outlive who started them."""
    with held(str(tmp_path)):
        process = child(lambda ready: (ready(), time.sleep(60))[0])
    try:
        with held(str(tmp_path)) as locked:
            assert locked
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def test_a_forked_child_that_leaves_the_block_frees_nothing(tmp_path: Path) -> None:
    process = 0
    with held(str(tmp_path)):
        process = os.fork()
        if process:
            os.waitpid(process, 0)
            with pytest.raises(LockedError), held(str(tmp_path)):
                pass
    if not process:
        os._exit(0)


def test_no_turn_is_lost(tmp_path: Path) -> None:
    """Each adds one to a number, in two steps that would lose some if two were in at once."""
    number = tmp_path / "number"
    number.write_text("0")

    def work() -> str:
        for _ in range(TURNS):
            with held(str(tmp_path), wait=60):
                read = int(number.read_text())
                time.sleep(0.0002)
                number.write_text(str(read + 1))
        return "done"

    assert together([work] * 4) == ["done"] * 4
    assert number.read_text() == str(4 * TURNS)
    assert os.listdir(tmp_path) == ["number"]


def test_where_nothing_can_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def unsupported(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with held(str(tmp_path)) as locked, held(str(tmp_path)) as again:
        assert (locked, again) == (False, False)


def test_a_full_disk_keeps_nobody_from_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes, place: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(locks, "write_at", full)
    with held(str(tmp_path)) as locked:
        assert locked
        with pytest.raises(LockedError) as caught, held(str(tmp_path)):
            pass
        assert (caught.value.pid, caught.value.why) == ("", "")


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), held(str(tmp_path / "nowhere")):
        pass
    (tmp_path / LOCK).symlink_to("victim")
    with pytest.raises(OutputError), held(str(tmp_path)):
        pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("said", [b"", b"\xff\xfe", b"12 \x1b[31mred\n", b"12", b"x" * 5000])
def test_what_stands_in_the_file_is_text_only(said: bytes, tmp_path: Path) -> None:
    with held(str(tmp_path)):
        (tmp_path / LOCK).write_bytes(said)
        with pytest.raises(LockedError) as caught, held(str(tmp_path)):
            pass
    assert caught.value.pid == ""
    assert "\x1b" not in str(caught.value)


def test_interrupted_while_waiting(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with held(str(tmp_path)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt), held(str(tmp_path), wait=9):
            pass
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
