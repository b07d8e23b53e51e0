"""Files under other names: how they got there, and that nothing is shared that must not be."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_convert.errors import (
    CheckpointNotFoundError,
    DestinationExistsError,
    OptionError,
    OutputError,
)
from lora_convert.storage import linking
from lora_convert.storage.linking import (
    Abilities,
    Placed,
    abilities,
    file_system,
    method_for,
    place,
)
from tests.storage.disks import cannot_mount, disk_of, memory_disk

posix = pytest.mark.skipif(os.name == "nt", reason="links need rights there")
CONTENT = os.urandom(300_000)


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    linking._tried.clear()
    yield
    linking._tried.clear()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT and exFAT."""

    def refused(*how: Any, **more: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    for name in ("link", "symlink"):
        monkeypatch.setattr(os, name, refused)
    monkeypatch.setattr(linking, "clone", lambda source, descriptor: False)


def test_a_copy_is_a_file_of_its_own(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert place(str(source), str(target), "copy") == Placed("copy", len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert not target.samefile(source)
    assert sorted(os.listdir(tmp_path)) == ["source", "target"]


@posix
def test_only_what_is_ours_is_hard_linked(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is not our own") as caught:
        place(str(source), str(tmp_path / "x"), "hardlink")
    assert "--link" in caught.value.hint
    assert place(str(source), str(tmp_path / "y"), "auto").method in {"copy", "reflink"}
    assert source.stat().st_nlink == 1
    assert place(str(source), str(tmp_path / "z"), "auto", ours=True) == Placed("hardlink", 0)
    assert (tmp_path / "z").samefile(source)
    assert place(str(source), str(tmp_path / "w"), "hardlink", ours=True) == Placed("hardlink", 0)
    assert source.stat().st_nlink == 3


@posix
@pytest.mark.parametrize("how", ["copy", "hardlink", "auto", "symlink"])
def test_links_to_the_source_are_resolved(how: linking.How, source: Path, tmp_path: Path) -> None:
    """As in the Hub's cache, where snapshots are links to blobs."""
    (tmp_path / "snapshots").mkdir()
    link = tmp_path / "snapshots" / "model"
    link.symlink_to("../source")
    target = tmp_path / "target"
    place(str(link), str(target), how, ours=True)
    assert target.is_symlink() == (how == "symlink")
    link.unlink()
    assert target.read_bytes() == CONTENT


@posix
def test_a_link_to_ours_moves_with_it(source: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "shared").mkdir(parents=True)
    (run / "pipeline" / "unet").mkdir(parents=True)
    ours = run / "shared" / "entry"
    ours.write_bytes(CONTENT)
    assert place(str(ours), str(run / "pipeline" / "unet" / "x"), "symlink", ours=True) == Placed(
        "symlink", 0
    )
    assert place(str(source), str(run / "pipeline" / "y"), "symlink") == Placed("symlink", 0)
    run.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "pipeline" / "unet" / "x").read_bytes() == CONTENT
    assert os.readlink(tmp_path / "moved" / "pipeline" / "y") == str(source)


@pytest.mark.parametrize("how", linking.HOWS)
def test_a_taken_name_is_left_alone(how: linking.How, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    try:
        with pytest.raises(DestinationExistsError):
            place(str(source), str(target), how, ours=True)
    except OptionError:
        assert how == "reflink"
    assert target.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["source", "target"]


def test_without_links_it_copies_and_says_so_before(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_links(monkeypatch)
    folder = str(tmp_path / "not" / "there")
    assert abilities(str(source), folder) == Abilities(False, False, False)
    assert method_for(str(source), folder, "auto", ours=True) == "copy"
    assert method_for(None, folder, "auto", ours=True) == "copy"
    for how in ("hardlink", "symlink", "reflink"):
        with pytest.raises(OptionError, match="cannot") as caught:
            method_for(str(source), folder, how, ours=True)  # type: ignore[arg-type]
        assert "--link copy" in caught.value.hint
    assert os.listdir(tmp_path) == ["source"]
    assert place(str(source), str(tmp_path / "x"), "auto", ours=True).method == "copy"


def test_it_is_tried_once_for_each_disk(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = abilities(str(source), str(tmp_path))
    monkeypatch.setattr(linking, "_try", None)
    assert abilities(str(source), str(tmp_path / "below")) == first


@posix
def test_a_file_that_can_have_no_more_names_is_copied(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert method_for(str(source), str(tmp_path), "auto", ours=True) == "hardlink"

    def full(*how: Any, **more: Any) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        patch.setattr(linking, "clone", lambda source, descriptor: False)
        with pytest.raises(OutputError, match="Too many links"):
            place(str(source), str(tmp_path / "x"), "hardlink", ours=True)
        assert place(str(source), str(tmp_path / "x"), "auto", ours=True).method == "copy"
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_what_cannot_be_a_source(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError):
        place(str(tmp_path / "nothing"), str(tmp_path / "x"), "copy")
    for how in ("copy", "auto"):
        with pytest.raises(Exception, match="is not a regular file"):
            place(str(tmp_path), str(tmp_path / "x"), how)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


@posix
@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="cannot be written"):
        abilities(str(source), str(tmp_path / "closed"))


@pytest.mark.skipif(bool(cannot_mount("btrfs")), reason=cannot_mount("btrfs"))
def test_blocks_are_shared_where_the_disk_can(tmp_path: Path) -> None:
    big = os.urandom(1 << 20) * 16
    with disk_of("btrfs", tmp_path) as disk:
        (disk / "source").write_bytes(big)
        os.sync()
        free = os.statvfs(disk).f_bfree
        assert abilities(str(disk / "source"), str(disk)) == Abilities(True, True, True)
        for number, how in enumerate(("auto", "reflink")):
            target = disk / f"target{number}"
            assert place(str(disk / "source"), str(target), how) == Placed("reflink", 0)  # type: ignore[arg-type]
            assert target.read_bytes() == big
            assert not target.samefile(disk / "source")
        os.sync()
        status = os.statvfs(disk)
        assert (free - status.f_bfree) * status.f_frsize < len(big) // 8
        with (disk / "target0").open("r+b") as file:
            file.write(b"changed")
        assert (disk / "source").read_bytes() == big


@pytest.mark.skipif(bool(cannot_mount("btrfs")), reason=cannot_mount("btrfs"))
def test_blocks_are_shared_between_subvolumes(tmp_path: Path) -> None:
    with disk_of("btrfs", tmp_path) as disk:
        subprocess.run(
            ["btrfs", "subvolume", "create", disk / "home"], check=True, capture_output=True
        )
        (disk / "source").write_bytes(CONTENT)
        assert (disk / "home").stat().st_dev != disk.stat().st_dev
        assert abilities(str(disk / "source"), str(disk / "home")) == Abilities(True, False, True)
        with pytest.raises(OptionError, match="on another disk"):
            place(str(disk / "source"), str(disk / "home" / "x"), "hardlink", ours=True)
        assert place(str(disk / "source"), str(disk / "home" / "x"), "auto", ours=True) == Placed(
            "reflink", 0
        )


@pytest.mark.skipif(bool(cannot_mount("vfat")), reason=cannot_mount("vfat"))
def test_a_disk_without_links(source: Path, tmp_path: Path) -> None:
    with disk_of("vfat", tmp_path) as disk:
        (disk / "ours").write_bytes(CONTENT)
        assert abilities(str(disk / "ours"), str(disk)) == Abilities(False, False, False)
        assert place(str(disk / "ours"), str(disk / "x"), "auto", ours=True).method == "copy"
        assert (disk / "x").read_bytes() == CONTENT


@pytest.mark.skipif(bool(cannot_mount()), reason=cannot_mount())
def test_another_disk(source: Path) -> None:
    with memory_disk(1 << 22) as disk:
        assert abilities(str(source), str(disk)) == Abilities(False, False, True)
        assert abilities(None, str(disk)) == Abilities(False, True, True)
        assert method_for(None, str(disk), "auto", ours=True) == "hardlink"
        with pytest.raises(OptionError, match="on another disk"):
            method_for(str(source), str(disk), "hardlink", ours=True)
        assert place(str(source), str(disk / "x"), "auto", ours=True).method == "copy"
        with (disk / "filler").open("wb") as file:
            file.truncate(0)
            os.posix_fallocate(file.fileno(), 0, (1 << 22) - 500_000)
        with pytest.raises(OutputError):
            place(str(source), str(disk / "y"), "auto")
        assert sorted(os.listdir(disk)) == ["filler", "x"]


@pytest.mark.skipif(bool(cannot_mount("btrfs")), reason=cannot_mount("btrfs"))
def test_the_kind_of_a_disk(tmp_path: Path) -> None:
    odd = tmp_path / "a b\\040\n"
    odd.mkdir()
    with disk_of("btrfs", tmp_path) as disk:
        assert file_system(str(disk / "not" / "there")) == "btrfs"
        subprocess.run(["mount", "--bind", disk, odd], check=True)
        try:
            assert file_system(str(odd)) == "btrfs"
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", odd], check=True)
            try:
                assert file_system(str(odd)) == "tmpfs"
            finally:
                subprocess.run(["umount", odd], check=True)
        finally:
            subprocess.run(["umount", odd], check=True)


def test_the_kind_of_a_disk_need_not_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*how: Any) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", refused)
    assert file_system(str(tmp_path)) == ""
