"""Names, modes, links and left-overs of outputs."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lora_convert
from lora_convert.errors import DestinationExistsError, OutputError
from lora_convert.storage import renaming
from lora_convert.storage.atomic import check_space, staged_file, staged_folder
from lora_convert.storage.leftovers import is_temporary, remove_leftovers, temporary_path
from tests.storage.making import peft_folder

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def write(target: Path, data: bytes = b"new", *, replace: bool = False) -> None:
    with staged_file(str(target)) as (descriptor, staged):
        os.write(descriptor, data)
        staged.publish(replace=replace)


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000, 0o027])
def test_modes_are_what_the_umask_leaves(mask: int, tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a")
    with umask(mask):
        lora_convert.convert(str(source), "kohya", output=str(tmp_path / "o.safetensors"))
        lora_convert.convert(str(tmp_path / "o.safetensors"), "peft", output=str(tmp_path / "p"))
    files = [tmp_path / "o.safetensors", *(tmp_path / "p").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o666 & ~mask}
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o777 & ~mask


def test_a_taken_name_is_refused_and_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with pytest.raises(DestinationExistsError):
        write(target)
    assert target.read_bytes() == b"old"
    write(target, replace=True)
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


@posix
@pytest.mark.parametrize("to", ["victim", "nowhere"])
def test_a_link_under_the_name_is_replaced_not_followed(to: str, tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a")
    (tmp_path / "victim").write_bytes(b"precious")
    link = tmp_path / "o.safetensors"
    link.symlink_to(to)
    with pytest.raises(DestinationExistsError):
        lora_convert.convert(str(source), "kohya", output=str(link))
    assert link.is_symlink()
    lora_convert.convert(str(source), "kohya", output=str(link), force=True)
    assert not link.is_symlink()
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


@posix
def test_a_link_to_the_source_is_never_written(tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a") / "adapter_model.safetensors"
    before = source.read_bytes()
    for make in (lambda link: link.symlink_to(source), lambda link: os.link(source, link)):
        link = tmp_path / f"o{len(os.listdir(tmp_path))}.safetensors"
        make(link)
        with pytest.raises(DestinationExistsError, match="it is the source"):
            lora_convert.convert(str(source), "kohya", output=str(link), force=True)
    assert source.read_bytes() == before


@posix
def test_links_in_place_of_folders(tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("gone")
    lora_convert.convert(str(source), "kohya", output=str(tmp_path / "link"))
    assert [path.suffix for path in (tmp_path / "real").iterdir()] == [".safetensors"]
    for force in (False, True):
        with pytest.raises(OutputError):
            lora_convert.convert(
                str(tmp_path / "real"), "peft", output=str(tmp_path / "dangling"), force=force
            )
    assert not (tmp_path / "gone").exists()


def test_impossible_names_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a")
    (tmp_path / "file").write_bytes(b"")
    for output in ("x" * 300 + ".safetensors", "file/o.safetensors", "file/sub/o.safetensors"):
        with pytest.raises(OutputError):
            lora_convert.convert(str(source), "kohya", output=str(tmp_path / output), force=True)
    assert sorted(os.listdir(tmp_path)) == ["a", "file"]
    with pytest.raises(OutputError):
        lora_convert.convert(str(source), "peft", output=str(tmp_path / "file"))


@pytest.mark.parametrize("name", ["ü" * 120, "漢" * 80, "x" * 240, "a\nb", " ", ".hidden"])
def test_odd_but_possible_names(name: str, tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a")
    out = tmp_path / f"{name}.safetensors"
    assert lora_convert.convert(str(source), "kohya", output=str(out)).status == "written"
    assert out.exists()
    assert lora_convert.convert(str(source), "kohya", output=str(out)).status == "unchanged"


FORBIDDEN = """
import os, sys
import lora_convert as lc
source, free, locked = sys.argv[1:]
lc.convert(source, "kohya", output=free)  # imports all there is, while we may
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    lc.convert(source, "kohya", output=locked)
except lc.LoraConvertError as error:
    print(type(error).__name__, error)
"""


@posix
def test_a_folder_that_may_not_be_written_to() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        source = peft_folder(folder / "a")
        (folder / "locked").mkdir(mode=0o555)
        paths = [str(source), str(folder / "free"), str(folder / "locked" / "o.safetensors")]
        command = [sys.executable, "-c", FORBIDDEN, *paths]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.startswith("OutputError"), done
        assert "Permission denied" in done.stdout
        assert os.listdir(folder / "locked") == []


def test_temporary_names_are_short_hidden_and_known() -> None:
    for target in ("a/b.safetensors", "x" * 255, "漢" * 85, "a/" + "\n", "a/.hid"):
        name = os.path.basename(temporary_path(target))
        assert is_temporary(name)
        assert name.startswith(".")
        assert len(name.encode()) < 160
        assert os.path.dirname(temporary_path(target)) == os.path.dirname(target)
    assert temporary_path("x") != temporary_path("x")


USERS = (
    "model.safetensors",
    "x.lora-convert-tmp",
    ".x.lora-convert-tmp",
    ".x.0123456789AB.lora-convert-tmp",
    ".x.0123456789ab.lora-convert-tmp.bak",
    "x.0123456789ab.lora-convert-tmp",
    ".x.0123456789abc.lora-convert-tmp",
)


@posix
def test_cleaning_takes_left_overs_and_nothing_else(tmp_path: Path) -> None:
    dead = tmp_path / ".m.safetensors.0123456789ab.lora-convert-tmp"
    dead.write_bytes(b"x")
    dead_folder = tmp_path / ".unet.ba9876543210.lora-convert-tmp"
    (dead_folder / "unet").mkdir(parents=True)
    (dead_folder / "unet" / "w").write_bytes(b"x")
    (dead_folder / "link").symlink_to(tmp_path)
    for name in USERS:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".l.0123456789ab.lora-convert-tmp").symlink_to("model.safetensors")
    os.mkfifo(tmp_path / ".f.0123456789ab.lora-convert-tmp")
    remove_leftovers(str(tmp_path))
    odd = {".l.0123456789ab.lora-convert-tmp", ".f.0123456789ab.lora-convert-tmp"}
    assert set(os.listdir(tmp_path)) == set(USERS) | odd
    assert all((tmp_path / name).read_bytes() == b"mine" for name in USERS)


@posix
def test_cleaning_leaves_live_runs_alone(tmp_path: Path) -> None:
    with (
        staged_file(str(tmp_path / "x")) as (_, file),
        staged_folder(str(tmp_path / "y")) as folder,
    ):
        (Path(folder.path) / "inside").write_bytes(b"x")
        remove_leftovers(str(tmp_path))
        with staged_file(str(tmp_path / "z")) as (_, other):  # cleans before it begins
            other.publish(replace=False)
        assert os.path.exists(file.path)
        assert os.listdir(folder.path) == ["inside"]
        file.publish(replace=False)
        folder.publish(replace=False)
    assert sorted(os.listdir(tmp_path)) == ["x", "y", "z"]


def test_where_there_are_no_locks_a_day_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    old, young = (tmp_path / f".{name}.0123456789ab.lora-convert-tmp" for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    remove_leftovers(str(tmp_path))
    assert os.listdir(tmp_path) == [young.name]
    write(tmp_path / "x")


@posix
def test_a_temporary_taken_by_a_cleaning_run_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its locking a temporary looks dead."""
    from lora_convert.storage import atomic

    taken: list[str] = []
    real = atomic.claim

    def late(path: str, descriptor: int) -> bool:
        if len(taken) < 3:
            taken.append(path)
            os.unlink(path)
        return real(path, descriptor)

    monkeypatch.setattr(atomic, "claim", late)
    write(tmp_path / "x")
    assert len(taken) == 3
    assert os.listdir(tmp_path) == ["x"]


def test_folders_replace_nothing_unasked(tmp_path: Path) -> None:
    for name in ("empty", "full", "file"):
        (tmp_path / name).write_bytes(b"") if name == "file" else (tmp_path / name).mkdir()
    (tmp_path / "full" / "x").write_bytes(b"")
    for name in ("empty", "full", "file"):
        with pytest.raises(DestinationExistsError), staged_folder(str(tmp_path / name)) as staged:
            staged.publish(replace=False)
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "full"]


@pytest.mark.skipif(sys.platform not in {"linux", "darwin"}, reason="no call that replaces nothing")
def test_folders_replace_nothing_that_appears_at_the_last_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POSIX lets a folder take the place of an empty one; looking before is too early."""

    def late(path: str) -> bool:
        (tmp_path / "x").mkdir(exist_ok=True)
        return False

    with staged_folder(str(tmp_path / "x")) as staged:
        monkeypatch.setattr(renaming.os.path, "lexists", late)
        late("")
        mine = (tmp_path / "x").stat().st_ino
        with pytest.raises(DestinationExistsError):
            staged.publish(replace=False)
    assert (tmp_path / "x").stat().st_ino == mine


@posix
@pytest.mark.parametrize("links", [True, False])
def test_names_are_not_taken_where_the_system_has_no_call_for_it(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*names: str, **more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(renaming, "_rename_exclusively", lambda path, target: errno.ENOSYS)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    write(tmp_path / "x", b"first")
    with pytest.raises(DestinationExistsError):
        write(tmp_path / "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["x"]


def test_space_is_checked_before(tmp_path: Path) -> None:
    check_space(str(tmp_path), 1)
    with pytest.raises(OSError, match=r"needs 1,000,000,000,000,000,000 bytes, [\d,]+ are free"):
        check_space(str(tmp_path), 10**18)


@posix
def test_a_temporary_folder_taken_before_it_is_opened_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_convert.storage import atomic

    taken: list[str] = []
    real = atomic.open_folder

    def late(path: str) -> int:
        if len(taken) < 3 and is_temporary(os.path.basename(path)):
            taken.append(path)
            os.rmdir(path)
        return real(path)

    monkeypatch.setattr(atomic, "open_folder", late)
    with staged_folder(str(tmp_path / "x")) as staged:
        staged.publish(replace=False)
    assert len(taken) == 3
    assert os.listdir(tmp_path) == ["x"]


@posix
def test_files_of_a_folder_leave_no_second_names_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renaming, "_rename_exclusively", lambda path, target: errno.ENOSYS)
    lora_convert.convert(str(peft_folder(tmp_path / "a")), "peft", output=str(tmp_path / "o"))
    assert sorted(os.listdir(tmp_path / "o")) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


@posix
def test_a_folder_whose_temporaries_are_always_taken_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_convert.storage import atomic

    monkeypatch.setattr(atomic, "claim", lambda path, descriptor: False)
    with pytest.raises(OutputError, match="take every temporary away"):
        write(tmp_path / "x")
    assert os.listdir(tmp_path) == []
