"""The shared store: entries are whole, are what their names say, and are written once."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_convert.errors import (
    CheckpointNotFoundError,
    CorruptCheckpointError,
    OutputError,
    VerificationError,
)
from lora_convert.storage import hashes, linking, renaming, store
from lora_convert.storage.positions import write_at
from lora_convert.storage.store import KNOWN, check, entries, find, put_file, put_written, unused
from tests.storage.disks import cannot_mount, disk_of, memory_disk
from tests.storage.faults import FAILURES, failing

CONTENT = os.urandom(300_000)
RIGHT = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "run" / ".shared")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(hashes, "_SETTLED", 0)
    path = tmp_path / "base"
    path.write_bytes(CONTENT)
    time.sleep(0.02)
    return str(path)


def write(descriptor: int) -> None:
    write_at(descriptor, CONTENT, 0)


def names(folder: str) -> list[str]:
    return sorted(set(os.listdir(folder)) - {KNOWN})


@pytest.mark.parametrize("how", ["auto", "reflink", "copy"])
def test_a_file_is_put_in_once(how: str, base: str, folder: str) -> None:
    put = put_file(folder, base, how=how)  # type: ignore[arg-type]
    assert put.entry == (RIGHT, os.path.join(folder, RIGHT), len(CONTENT))
    assert put.written == (0 if put.how == "reflink" else len(CONTENT))
    assert Path(put.entry.path).read_bytes() == CONTENT
    assert put_file(folder, base) == (put.entry, "present", 0)
    assert os.stat(base).st_nlink == 1
    assert names(folder) == [RIGHT]


@pytest.mark.skipif(os.name == "nt", reason="modes are not these there")
def test_entries_are_read_only(base: str, folder: str) -> None:
    put = put_file(folder, base)
    assert stat.S_IMODE(os.stat(put.entry.path).st_mode) & 0o333 == 0
    assert os.stat(base).st_mode & stat.S_IWUSR


def test_a_known_file_is_not_read_again(
    base: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.digest_of(folder, base) == RIGHT
    put_file(folder, base)
    monkeypatch.setattr(store, "_copy", None)
    monkeypatch.setattr(store, "clone", None)
    assert put_file(folder, base).how == "present"


def test_what_is_written_is_named_by_its_content(base: str, folder: str) -> None:
    put = put_written(folder, write, size=len(CONTENT))
    assert (put.entry.digest, put.how, put.written) == (RIGHT, "written", len(CONTENT))
    assert put_written(folder, write).how == "present"
    assert put_file(folder, base).how == "present"
    assert put_written(folder, lambda descriptor: None).entry.size == 0
    assert len(entries(folder)) == 2


def test_a_recipe_is_followed_once(folder: str) -> None:
    put = put_written(folder, write, recipe="the untouched tensors of X")
    again = put_written(folder, pytest.fail, recipe="the untouched tensors of X")
    assert again == (put.entry, "present", 0)
    written = []
    put_written(folder, written.append, recipe="another")
    assert written
    os.unlink(put.entry.path)
    assert put_written(folder, write, recipe="the untouched tensors of X").how == "written"


def test_a_failing_writer_leaves_nothing(folder: str) -> None:
    def fail(descriptor: int) -> None:
        write(descriptor)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        put_written(folder, fail)
    assert not os.path.exists(folder)


@pytest.mark.parametrize("damage", [CONTENT[:-1], b"", CONTENT + b"x"])
def test_an_entry_of_another_size_is_replaced(damage: bytes, base: str, folder: str) -> None:
    entry = put_file(folder, base).entry
    os.chmod(entry.path, 0o644)
    Path(entry.path).write_bytes(damage)
    assert find(folder, RIGHT, len(CONTENT)) is None
    assert put_file(folder, base).how != "present"
    assert Path(entry.path).read_bytes() == CONTENT


PUT_AGAIN: dict[str, Callable[[str, str], store.Put]] = {
    "file": put_file,
    "recipe": lambda folder, base: put_written(folder, write, recipe="r"),
    "written": lambda folder, base: put_written(folder, write),
}


@pytest.mark.parametrize("again", PUT_AGAIN)
@pytest.mark.parametrize("known", [True, False])
def test_an_entry_that_was_written_into_is_replaced(
    known: bool, again: str, base: str, folder: str
) -> None:
    """By a program that saves in place, through the name that it has in a pipeline."""
    entry = put_file(folder, base).entry
    put_written(folder, write, recipe="r")
    assert check(folder) == ()
    pipeline = Path(folder).parent / "unet"
    os.link(entry.path, pipeline)
    os.chmod(pipeline, 0o644)
    time.sleep(0.02)
    pipeline.write_bytes(CONTENT[::-1])
    (damaged,) = check(folder)
    assert damaged.entry == entry
    assert hashlib.sha256(CONTENT[::-1]).hexdigest() in damaged.problem
    if not known:
        Path(folder, KNOWN).unlink()
    assert PUT_AGAIN[again](folder, base).how != "present"
    assert check(folder) == ()
    assert pipeline.read_bytes() == CONTENT[::-1]


def test_an_entry_whose_time_was_set_back_is_found_where_asked(base: str, folder: str) -> None:
    entry = put_file(folder, base).entry
    status = os.stat(entry.path)
    os.chmod(entry.path, 0o644)
    Path(entry.path).write_bytes(CONTENT[::-1])
    os.utime(entry.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert put_file(folder, base).how == "present"
    assert put_file(folder, base, check=True).how != "present"
    assert check(folder) == ()


def test_a_sound_entry_is_hashed_again_only_once(
    base: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what was known is lost, and after it has got more names."""
    entry = put_file(folder, base).entry
    Path(folder, KNOWN).unlink()
    assert put_file(folder, base).how == "present"
    os.link(entry.path, Path(folder).parent / "unet")
    monkeypatch.setattr(store, "_problem", None)
    assert put_file(folder, base).how == "present"


def test_nothing_else_counts_as_an_entry(base: str, folder: str) -> None:
    assert entries(folder) == ()
    entry = put_file(folder, base).entry
    for name in ("readme", RIGHT[:-1], RIGHT.upper() + "x", RIGHT + "0"):
        Path(folder, name).write_bytes(b"")
    Path(folder, "0" * 64).mkdir()
    if os.name != "nt":
        Path(folder, "1" * 64).symlink_to(RIGHT)
    assert entries(folder) == (entry,)
    assert unused(folder, {RIGHT}) == ()
    assert unused(folder, ()) == (entry,)


def test_a_link_in_place_of_an_entry_is_replaced_not_followed(
    base: str, folder: str, tmp_path: Path
) -> None:
    os.makedirs(folder)
    (tmp_path / "victim").write_bytes(CONTENT)
    Path(folder, RIGHT).symlink_to(tmp_path / "victim")
    put = put_file(folder, base)
    assert put.how != "present"
    assert not os.path.islink(put.entry.path)
    assert (tmp_path / "victim").read_bytes() == CONTENT


def test_sources_behind_links(base: str, folder: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("base")
    assert put_file(folder, str(tmp_path / "link")).entry.digest == RIGHT
    assert not os.path.islink(os.path.join(folder, RIGHT))
    with pytest.raises(CheckpointNotFoundError):
        put_file(folder, str(tmp_path / "nothing"))


def test_a_source_that_changes_meanwhile(
    base: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store._copy

    def touching(*how: object) -> None:
        real(*how)  # type: ignore[arg-type]
        with open(base, "r+b") as file:
            file.write(b"other")
        os.utime(base, ns=(1, 1))

    monkeypatch.setattr(store, "_copy", touching)
    with pytest.raises(CorruptCheckpointError, match="changed while it was read"):
        put_file(folder, base, how="copy")
    assert not os.path.exists(folder)


def test_a_byte_flipped_on_the_way_is_caught(
    base: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store._copy

    def flipping(source: object, descriptor: int, progress: object) -> None:
        real(source, descriptor, progress)  # type: ignore[arg-type]
        write_at(descriptor, bytes([CONTENT[100_000] ^ 1]), 100_000)

    monkeypatch.setattr(store, "_copy", flipping)
    with pytest.raises(VerificationError, match="near byte"):
        put_file(folder, base, how="copy")
    assert not os.path.exists(folder)


PUTS: dict[str, Callable[[str, str], object]] = {
    "file": lambda folder, base: put_file(folder, base, how="copy"),
    "written": lambda folder, base: put_written(folder, write, recipe="r"),
    "linked": lambda folder, base: linking.place(
        base, os.path.join(folder, RIGHT), "hardlink", ours=True
    ),
    "placed": lambda folder, base: linking.place(base, os.path.join(folder, RIGHT), "copy"),
    "named": lambda folder, base: linking.place(base, os.path.join(folder, RIGHT), "symlink"),
}


@pytest.mark.parametrize("put", PUTS)
@pytest.mark.parametrize(
    "name", ["open", "pwrite", "copy_file_range", "fsync", "link", "symlink", "rename", "mkdir"]
)
def test_every_call_can_fail(
    name: str, put: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "_tried", {})
    (tmp_path / "x").mkdir()
    linking.abilities(base, str(tmp_path))
    if name == "link":  # used where the system has no rename that replaces nothing
        monkeypatch.setattr(renaming, "_rename_exclusively", lambda path, target: errno.ENOSYS)
    for failure in FAILURES:
        for after in range(40):
            folder = tmp_path / "x" / f"{failure}-{after}"
            if put not in {"file", "written"}:
                folder.mkdir()
            with failing(name, getattr(errno, failure), after) as count:
                try:
                    PUTS[put](str(folder), base)
                except OutputError as error:
                    left = names(str(folder)) if folder.exists() else []
                    assert left == ([RIGHT] if "durability unknown" in str(error) else [])
                else:
                    assert (folder / RIGHT).read_bytes() == CONTENT
                    assert names(str(folder)) == [RIGHT]
            if count[0] <= after:
                break
        else:
            pytest.fail(f"{name} is called more than 40 times")
    assert Path(base).read_bytes() == CONTENT


@pytest.mark.skipif(os.name == "nt", reason="processes are forked")
def test_two_processes_put_the_same_in_at_once(base: str, tmp_path: Path) -> None:
    from tests.storage.forking import together

    for number in range(10):
        folder = str(tmp_path / f"shared{number}")
        works = [
            lambda folder=folder: put_file(folder, base).how,
            lambda folder=folder: put_written(folder, write, recipe="r").how,
        ] * 2
        said = Counter(together(works))
        assert set(said) <= {"copy", "reflink", "written", "present"}, said
        assert sum(said.values()) - said["present"] == 1, said
        assert names(folder) == [RIGHT]
        assert check(folder) == ()


@pytest.mark.skipif(bool(cannot_mount()), reason=cannot_mount())
def test_a_full_disk(base: str) -> None:
    with memory_disk(1 << 20) as disk:
        for room in range(0, 600_000, 50_000):
            folder = disk / "shared"
            with (disk / "filler").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, (1 << 20) - 20_000 - room)
            try:
                put = put_file(str(folder), base)
            except OutputError:
                assert room < 400_000
                assert not folder.exists()
            else:
                assert room >= len(CONTENT) - 20_000
                assert check(str(folder)) == ()
                os.unlink(put.entry.path)
                (folder / KNOWN).unlink(missing_ok=True)
                folder.rmdir()


@pytest.mark.skipif(bool(cannot_mount("btrfs")), reason=cannot_mount("btrfs"))
def test_blocks_are_shared_with_the_base(base: str, tmp_path: Path) -> None:
    with disk_of("btrfs", tmp_path) as disk:
        (disk / "base").write_bytes(CONTENT)
        put = put_file(str(disk / "shared"), str(disk / "base"))
        assert (put.how, put.written) == ("reflink", 0)
        with (disk / "base").open("r+b") as file:
            file.write(b"changed in place")
        assert check(str(disk / "shared")) == ()
