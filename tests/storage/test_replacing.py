"""Folders in place of folders: one or the other at every moment, and nothing removed but the old one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_convert.errors import DestinationExistsError, OutputError
from lora_convert.storage import atomic, leftovers, renaming
from lora_convert.storage.atomic import staged_folder
from lora_convert.storage.leftovers import is_temporary, remove_leftovers
from tests.storage.disks import cannot_mount, memory_disk
from tests.storage.faults import FAILURES, failing
from tests.storage.tracing import losses, needs_strace, traced_code

if sys.platform not in {"linux", "darwin"}:
    pytest.skip("no call that exchanges folders", allow_module_level=True)

from tests.storage.forking import together


def replace(target: Path, name: str = "new", *, force: bool = True) -> None:
    with staged_folder(str(target), replace=force) as staged:
        Path(staged.path, "sub").mkdir()
        for path in (name, f"sub/{name}"):
            Path(staged.path, path).write_text(name)
        staged.publish(replace=force, own=OLD)


OLD = {
    f"{place}{name}" for place in ("", "sub/") for name in ("old", "new", "link", "hard", *"abc")
}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


NEW = ["new", "sub", "sub/new"]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An old folder, with links to what must stay."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_text("precious")
    place = tmp_path / "place"
    old = place / "target"
    replace(old, "old")
    (old / "sub" / "link").symlink_to(tmp_path / "victim")
    (old / "link").symlink_to(tmp_path / "victim" / "file")
    (old / "sub" / "closed").mkdir(mode=0o500)
    os.link(tmp_path / "victim" / "file", old / "hard")
    return old


@pytest.fixture(autouse=True)
def _made(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()


def check(target: Path, right: list[str] = NEW) -> None:
    assert names(target) == right
    assert os.listdir(target.parent) == ["target"]
    assert (target.parents[1] / "victim" / "file").read_text() == "precious"


def test_a_folder_takes_the_place_of_another(target: Path) -> None:
    old = names(target)
    with pytest.raises(DestinationExistsError):
        replace(target, force=False)
    check(target, old)
    replace(target)
    check(target)


@pytest.mark.parametrize("name", ["mine", "sub/mine", "sub/deeper/mine", "mine/old"])
def test_what_is_anothers_is_not_removed(name: str, target: Path) -> None:
    """A wrong name given with --force may be that of a whole run, its checkpoints included."""
    (target / name).parent.mkdir(exist_ok=True)
    (target / name).symlink_to("nowhere")
    old = names(target)
    with pytest.raises(DestinationExistsError, match="would remove") as caught:
        replace(target)
    assert name in caught.value.why
    assert "-o" in caught.value.hint
    check(target, old)


def test_where_nothing_is_it_is_as_without(target: Path) -> None:
    replace(target.parent / "other")
    assert names(target.parent / "other") == NEW
    assert sorted(os.listdir(target.parent)) == ["other", "target"]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "place" / "file").write_text("old")
    with pytest.raises(DestinationExistsError, match="it is not a folder"):
        replace(tmp_path / "place" / "file")
    assert (tmp_path / "place" / "file").read_text() == "old"
    assert os.listdir(tmp_path / "place") == ["file"]


def test_a_link_to_a_folder_is_replaced_not_followed(target: Path) -> None:
    link = target.parent / "link"
    link.symlink_to(target)
    old = names(target)
    replace(link)
    assert not link.is_symlink()
    assert names(target) == old
    assert sorted(os.listdir(target.parent)) == ["link", "target"]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.ENOTSUP])
def test_where_it_cannot_be_done_in_one_step_it_is_not_done(
    code: int, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = names(target)
    monkeypatch.setattr(renaming, "_rename_exchanging", lambda path, target: code)
    told = pytest.raises(DestinationExistsError, match="in one step")
    with told as caught, staged_folder(str(target), replace=True):
        pytest.fail("it is told before anything is written")
    assert f"remove {target} first" in caught.value.hint
    check(target, old)
    with told, staged_folder(str(target)) as staged:
        staged.publish(replace=True, own=OLD)
    check(target, old)


def test_a_folder_that_is_removed_meanwhile(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = atomic.open_folder

    def late(path: str) -> int:
        if path == str(target):
            leftovers.remove(path)
        return real(path)

    monkeypatch.setattr(atomic, "open_folder", late)
    replace(target)
    check(target)


@pytest.mark.parametrize("name", ["fsync", "mkdir", "open", "unlink", "rmdir"])
def test_every_call_can_fail(name: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = names(target)
    for failure in FAILURES:
        for after in range(20):
            published = False
            with failing(name, getattr(errno, failure), after) as count:
                try:
                    replace(target)
                except OutputError as error:
                    published = "durability unknown" in str(error)
                    assert names(target) == (NEW if published else old)
                except OSError:
                    assert name == "mkdir"  # of what is written, not of what places it
                    assert names(target) == old
                else:
                    published = True
                    assert names(target) == NEW
            done = count[0] <= after
            remove_leftovers(str(target.parent))
            check(target, NEW if published else old)
            if published:
                replace(target, "old")
                old = names(target)
            if done:
                break
        else:
            pytest.fail(f"{name} is called more than 20 times")


def test_an_exchange_that_fails(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = names(target)
    for failure in FAILURES:
        with monkeypatch.context() as patch:
            code = getattr(errno, failure)
            patch.setattr(renaming, "_rename_exchanging", lambda path, target, code=code: code)
            told = pytest.raises(OutputError, match="cannot be written")
            with told, staged_folder(str(target)) as staged:
                staged.publish(replace=True, own=OLD)
        check(target, old)


def test_the_old_stays_until_the_new_is_on_the_disk(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cleaning run comes before that, and then the disk fails."""
    old = names(target)

    def failing_sync(folder: str) -> None:
        if folder != str(target.parent):
            return
        remove_leftovers(folder)
        (kept,) = [name for name in os.listdir(folder) if is_temporary(name)]
        assert names(target.parent / kept) == old
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "sync_folder", failing_sync)
        with pytest.raises(OutputError, match="durability unknown"):
            replace(target)
    assert names(target) == NEW
    (kept,) = [name for name in os.listdir(target.parent) if is_temporary(name)]
    assert names(target.parent / kept) == old
    remove_leftovers(str(target.parent))
    check(target)


@pytest.mark.skipif(bool(cannot_mount()), reason=cannot_mount())
def test_what_is_mounted_in_the_old_one_stays(target: Path) -> None:
    """Also where its names are ours."""
    with memory_disk(1 << 20) as disk:
        (disk / "old").write_text("precious")
        (target / "sub" / "mount").mkdir()
        subprocess.run(["mount", "--bind", disk, target / "sub" / "mount"], check=True)
        place = target
        try:
            with staged_folder(str(target), replace=True) as staged:
                staged.publish(replace=True, own=OLD | {"sub/mount/old"})
            remove_leftovers(str(target.parent))
            (kept,) = [name for name in os.listdir(target.parent) if is_temporary(name)]
            place = target.parent / kept
            assert names(target) == []
            assert (disk / "old").read_text() == "precious"
        finally:
            subprocess.run(["umount", place / "sub" / "mount"], check=True)
        remove_leftovers(str(target.parent))
        check(target, [])


def test_a_folder_deeper_than_can_be_followed(target: Path) -> None:
    folder = os.open(target, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    replace(target)
    assert names(target) == NEW
    (kept,) = [name for name in os.listdir(target.parent) if is_temporary(name)]
    with pytest.raises(OSError, match="too deep"):
        leftovers.remove(str(target.parent / kept))
    subprocess.run(["rm", "-rf", target.parent], check=True)


def test_there_is_always_one_of_the_two(target: Path) -> None:
    """Looked at all the time while it is replaced, by name, as a loader does."""
    looking = os.fork()
    if not looking:
        try:
            while os.path.isdir(target):
                pass
        finally:
            os._exit(2)
    try:
        for number in range(200):
            replace(target, "new" if number % 2 else "old")
        assert os.waitpid(looking, os.WNOHANG) == (0, 0)
    finally:
        os.kill(looking, signal.SIGKILL)
        os.waitpid(looking, 0)


def test_of_racing_writers_the_last_is_whole(target: Path) -> None:
    def work(name: str) -> Callable[[], str]:
        def replacing() -> str:
            for _ in range(15):
                replace(target, name)
                time.sleep(0.001)
            return "done"

        return replacing

    assert together([work(name) for name in "abc"]) == ["done"] * 3
    remove_leftovers(str(target.parent))
    (name,) = set(os.listdir(target)) - {"sub"}
    check(target, [name, "sub", f"sub/{name}"])


REPLACING = """
import os
from lora_convert.storage.atomic import staged_folder, sync, sync_folder
with staged_folder("place/target", replace=True) as staged:
    os.mkdir(staged.path + "/sub")
    descriptor = os.open(staged.path + "/sub/new", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"new")
    sync(descriptor)
    sync_folder(staged.path + "/sub")
    staged.publish(replace=True, own=("old", "sub/old", "hard", "link", "sub/link"))
"""


@needs_strace
def test_what_replaces_survives_a_power_cut(target: Path) -> None:
    """And what it replaced is removed only after that."""
    done = traced_code(REPLACING, cwd=target.parents[1])
    assert done.exit_code == 0, done.stderr
    assert losses(done.calls, target.parent) == []
    (exchanged,) = [
        one for one in done.calls if "EXCHANGE" in one.arguments and one.texts[-1] == str(target)
    ]
    synced = [
        one.began
        for one in done.calls
        if one.name == "fsync"
        and one.places == (str(target.parent),)
        and one.began > exchanged.ended
    ]
    removed = [
        one.began
        for one in done.calls
        if one.name.startswith("unlink") and not one.result and one.began > exchanged.ended
    ]
    assert removed
    assert min(synced) < min(removed)
    check(target, ["sub", "sub/new"])
