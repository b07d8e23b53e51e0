"""What lies below a folder is what ``du`` says, to the block."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from lora_convert.storage import disk_usage
from lora_convert.storage.disk_usage import ANOTHER_DISK, disk_of, folders_below, free_space
from tests.storage.disks import cannot_mount, memory_disk

posix = pytest.mark.skipif(os.name == "nt", reason="there are no blocks")


def du(path: Path, *more: str) -> int:
    """By GNU's, where it is installed."""
    program = shutil.which("du")
    said = subprocess.run(
        [program or "true", "--version"], capture_output=True, text=True, check=False
    )
    if "GNU" not in said.stdout:
        pytest.skip("no GNU du here")
    done = subprocess.run(
        ["du", "-s", "-B1", *more, path], capture_output=True, text=True, check=False
    )
    return int(done.stdout.split()[0])


def total(path: Path) -> int:
    """The same from what is listed, names of one file once."""
    found = {}
    for folder in folders_below(str(path), lambda *told: None):
        for status in (folder.status, *(status for _, status in folder.files)):
            found[status.st_dev, status.st_ino] = disk_of(status)
    return sum(found.values())


def build(root: Path, seed: int) -> Path:
    """A tree with all that a file system has."""
    numbers = random.Random(seed)
    folders, files = [root], []
    root.mkdir()
    for number in range(60):
        folder = numbers.choice(folders)
        match numbers.randrange(6):
            case 0:
                folders.append(folder / f"folder-{number}")
                folders[-1].mkdir()
            case 1 if files:
                os.link(numbers.choice(files), folder / f"hard-{number}")
            case 2:
                target = numbers.choice([*folders, *files, root / "none", root])
                (folder / f"link-{number}").symlink_to(target)
            case 3:
                files.append(folder / f"sparse-{number}")
                with files[-1].open("wb") as file:
                    file.truncate(numbers.randrange(1 << 40))
                    file.seek(numbers.randrange(1 << 22))
                    file.write(os.urandom(numbers.randrange(100_000)))
            case 4:
                os.mkfifo(folder / f"fifo-{number}")
            case _:
                files.append(folder / f"file-{number}")
                files[-1].write_bytes(os.urandom(numbers.randrange(200_000)))
    (root / ("long name " * 20)).symlink_to("x" * 3000)
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    return root


@posix
@pytest.mark.parametrize("seed", range(8))
def test_the_total_is_that_of_du(seed: int, tmp_path: Path) -> None:
    root = build(tmp_path / "root", seed)
    assert total(root) == du(root)


def deep(root: Path, levels: int) -> Path:
    """Folders whose path is longer than the system takes at once."""
    root.mkdir()
    at = os.open(root, os.O_RDONLY)
    for level in range(levels):
        name = f"{level:03}-" + 60 * "n"
        os.mkdir(name, dir_fd=at)
        inner = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=at))
    os.close(at)
    return root


@posix
def test_folders_deeper_than_a_path_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = deep(tmp_path / "root", 200)
    try:
        told: list[object] = []
        found = [*folders_below(str(root), lambda *why: told.append(why))]
        assert (len(found), told) == (201, [])
        assert len(found[-1].path) > 10_000
        assert sum(len(folder.files) for folder in found) == 200
        assert total(root) == du(root)
        monkeypatch.chdir(root)
        assert len([*folders_below(os.curdir, lambda *why: told.append(why))]) == 201
    finally:
        subprocess.run(["rm", "-rf", root], check=True)


@posix
def test_names_are_in_order_and_folders_before_their_own(tmp_path: Path) -> None:
    root = build(tmp_path / "root", 3)
    listed = [folder.path for folder in folders_below(str(root), lambda *told: None)]
    assert listed == sorted(listed, key=lambda path: path.split(os.sep))


@posix
def test_links_are_not_followed_but_the_given_one(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "up").symlink_to(root, target_is_directory=True)
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    for path in (root, tmp_path / "link"):
        found = [*folders_below(str(path), lambda *told: None)]
        assert [folder.path for folder in found] == [str(path), str(path / "inner")]
        assert [name for name, _ in found[1].files] == ["up"]


@posix
def test_a_link_in_place_of_a_folder_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between listing and entering."""
    secret = tmp_path / "elsewhere"
    (secret / "more").mkdir(parents=True)
    (tmp_path / "root" / "a").mkdir(parents=True)
    walk = folders_below(str(tmp_path / "root"), lambda *told: passed.append(told))
    passed: list[object] = []
    assert next(walk).folders == ["a"]
    (tmp_path / "root" / "a").rmdir()
    (tmp_path / "root" / "a").symlink_to(secret, target_is_directory=True)
    assert [(folder.folders, folder.files) for folder in walk] == [([], [])]
    assert len(passed) == 1


@posix
def test_what_vanishes_is_not_there(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / "root" / name).mkdir(parents=True)
    passed: list[object] = []
    walk = folders_below(str(tmp_path / "root"), lambda *told: passed.append(told))
    assert next(walk).folders == ["a", "b", "c"]
    (tmp_path / "root" / "b").rmdir()
    assert [folder.path[-1] for folder in walk] == ["a", "c"]
    assert not passed
    with pytest.raises(FileNotFoundError):
        next(folders_below(str(tmp_path / "none"), lambda *told: None))


@posix
def test_a_file_that_vanishes_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    listed = os.scandir

    class Entries:
        """What removes a file between its listing and its looking at."""

        def __init__(self, path: int | str) -> None:
            self.entries = [*listed(path)]
            (tmp_path / "b").unlink()

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(disk_usage.os, "scandir", Entries)
    [folder] = folders_below(str(tmp_path), lambda *told: None)
    assert sorted(name for name, _ in folder.files) == ["a", "c"]


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "root" / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    try:
        passed: list[tuple[str, str]] = []
        walk = [*folders_below(str(tmp_path / "root"), lambda *told: passed.append(told))]
        assert passed == [(str(closed), "Permission denied")]
        assert [folder.path for folder in walk] == [str(tmp_path / "root"), str(closed)]
        assert total(tmp_path / "root") == du(tmp_path / "root")
    finally:
        closed.chmod(0o700)


@posix
def test_a_failing_folder_is_told_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root" / "closed").mkdir(parents=True)
    opened = os.open

    def refusing(path: str, *how: int, **more: int) -> int:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *how, **more)

    monkeypatch.setattr(disk_usage.os, "open", refusing)
    passed: list[tuple[str, str]] = []
    walk = [*folders_below(str(tmp_path / "root"), lambda *told: passed.append(told))]
    assert passed == [(str(tmp_path / "root" / "closed"), "Permission denied")]
    assert len(walk) == 2


@pytest.mark.skipif(bool(cannot_mount()), reason=cannot_mount())
def test_other_disks_are_named_and_not_entered(tmp_path: Path) -> None:
    with memory_disk(1 << 20) as disk:
        (disk / "inner").mkdir()
        (disk / "inner" / "file").write_bytes(bytes(100_000))
        passed: list[tuple[str, str]] = []
        above = disk.parent
        for folder in folders_below(str(above), lambda *told: passed.append(told)):
            assert not folder.path.startswith(str(disk))
        assert (str(disk), ANOTHER_DISK) in passed
        assert total(disk) == du(disk)
        assert total(disk) >= 100_000


def test_free_space_is_told(tmp_path: Path) -> None:
    assert (free_space(str(tmp_path)) or 0) > 0
    assert free_space(str(tmp_path / "none")) is None
