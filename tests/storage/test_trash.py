"""The trash: all that is moved there can be had back, and nothing else is touched."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_convert.errors import (
    DestinationExistsError,
    NotMovedError,
    OptionError,
    OutputError,
)
from lora_convert.storage import open_folders, renaming, trash
from lora_convert.storage.identity import State, state_of
from lora_convert.storage.trash import Item, Trash
from tests.storage.disks import cannot_mount, disk_of
from tests.storage.faults import FAILURES, failing

NAMES = ("file", "sub/file", "sub/folder")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fill(tmp_path / "root")


def fill(root: Path) -> Path:
    (root / "sub/folder/deeper").mkdir(parents=True)
    for name in (*NAMES[:2], "kept", "sub/folder/one", "sub/folder/deeper/two"):
        (root / name).write_text(name)
    (root / "sub/folder/link").symlink_to("/etc/passwd")
    return root


def contents(root: Path) -> dict[str, str]:
    """All that lies in a folder, links as links."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            text = f"-> {path.readlink()}" if path.is_symlink() else ""
            if path.is_file() and not text:
                text = path.read_text()
            found[str(path.relative_to(root))] = text
    return found


def states(root: Path, *names: str) -> dict[str, State]:
    return {name: state_of(str(root / name)) for name in names}


def of(root: Path) -> Trash:
    return Trash(str(root), ".trash")


def put(root: Path, *names: str) -> Item:
    return of(root).put(states(root, *names), why="a test", command="test")


def test_what_is_put_there_is_listed_and_comes_back(root: Path) -> None:
    before = contents(root)
    item = put(root, *NAMES)
    assert sorted(name for name in contents(root) if not name.startswith(".trash")) == [
        "kept",
        "sub",
    ]
    assert of(root).items() == (item,)
    assert [(entry.name, entry.present) for entry in item.entries] == [(n, True) for n in NAMES]
    assert (
        item.size == sum(len(before[name]) for name in before if "->" not in before[name]) - 4 + 11
    )
    assert of(root).undo(item.id) == item
    assert contents(root) == before


def test_folders_around_are_made_again(root: Path) -> None:
    before = contents(root)
    item = put(root, *NAMES)
    (root / "sub").rmdir()
    of(root).undo(item.id)
    assert contents(root) == before


def test_what_is_emptied_is_gone_and_links_in_it_are_not_followed(root: Path) -> None:
    precious = root.parent / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    (root / "sub/folder/away").symlink_to(precious)
    first, second = put(root, "sub/folder"), put(root, "file")
    of(root).empty([first.id])
    assert of(root).items() == (second,)
    assert contents(precious) == {"file": "precious"}
    of(root).empty([second.id])
    assert not (root / ".trash").exists()
    assert (root / "kept").read_text() == "kept"


def test_an_item_that_is_not_there_is_named(root: Path) -> None:
    item = put(root, "file")
    for act in (of(root).undo, lambda one: of(root).empty([one])):
        with pytest.raises(OptionError, match="20260101") as raised:
            act("20260101-000000-000000")
        assert raised.value.choices == (item.id,)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "../other/file",
        "/etc/passwd",
        "sub/../file",
        "sub//file",
        "sub/",
        ".trash",
    ],
)
def test_names_that_lead_out_or_into_the_trash_are_refused(root: Path, name: str) -> None:
    before = contents(root)
    with pytest.raises(NotMovedError):
        of(root).put({name: state_of(str(root / "file"))}, why="", command="")
    assert contents(root) == before


def test_links_are_refused(root: Path) -> None:
    elsewhere = fill(root.parent / "elsewhere")
    (root / "link").symlink_to(elsewhere / "file")
    (root / "way").symlink_to(elsewhere / "sub")
    before = contents(root), contents(elsewhere)
    for name in ("link", "way", "way/file", "way/folder"):
        with pytest.raises(NotMovedError, match="link"):
            of(root).put({name: state_of(str(elsewhere / "file"))}, why="", command="")
    with pytest.raises(NotMovedError, match="link"):
        state_of(str(root / "link"))
    assert (contents(root), contents(elsewhere)) == before


def test_a_trash_that_is_a_link_is_refused(root: Path) -> None:
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    (root / ".trash").symlink_to(elsewhere)
    before = contents(root)
    with pytest.raises(NotMovedError, match="symbolic link"):
        put(root, "file")
    assert contents(root) == before
    assert not [*elsewhere.iterdir()]


def _write(path: Path) -> None:
    path.write_text("another, longer")


def _write_as_long(path: Path) -> None:
    path.write_text("x" * path.stat().st_size)
    os.utime(path, ns=(0, 5))


def _replace(path: Path) -> None:
    status = path.stat()
    new = path.with_name("new")
    new.write_text("x" * status.st_size)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES: dict[str, Callable[[Path], None]] = {
    "written": _write,
    "written as long": _write_as_long,
    "replaced, of the same size and time": _replace,
    "a link": _link,
    "gone": Path.unlink,
    "a fifo": _fifo,
}


@pytest.mark.parametrize("inside", ["file", "sub/folder/one", "sub/folder/deeper/two"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_the_plan_stays(root: Path, inside: str, change: str) -> None:
    planned = states(root, "sub/file", "sub/folder" if "/" in inside else inside)
    CHANGES[change](root / inside)
    before = contents(root)
    with pytest.raises(NotMovedError) as raised:
        of(root).put(planned, why="", command="")
    assert raised.value.path == str(root / [*planned][1])
    assert contents(root) == before


@pytest.mark.parametrize("inside", ["kept", "sub/folder/one"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("taken", [False, True])
def test_what_changes_in_the_moment_of_its_move_is_moved_back(
    root: Path, monkeypatch: pytest.MonkeyPatch, inside: str, change: str, taken: bool
) -> None:
    """Between the last look and the rename; and where `taken`, the name gets another right after."""
    name = "sub/folder" if "/" in inside else inside
    planned = states(root, "sub/file", name)
    real = open_folders.OpenFolder.move
    expected: dict[str, str] = {}

    def swapped(
        folder: open_folders.OpenFolder, source: str, into: open_folders.OpenFolder, target: str
    ) -> None:
        acting = source == os.path.basename(name) and not expected
        if acting:
            CHANGES[change](root / inside)
            expected.update(contents(root), **{"sub/file": "sub/file"})
        real(folder, source, into, target)
        if acting and taken:
            (root / name).write_text("new")

    monkeypatch.setattr(open_folders.OpenFolder, "move", swapped)
    with pytest.raises(NotMovedError) as raised:
        of(root).put(planned, why="", command="")
    monkeypatch.undo()
    gone = change == "gone" and name == inside
    if not taken or gone:
        found = contents(root)
        assert (root / "sub/file").exists()
        assert {n: t for n, t in found.items() if not n.startswith(".trash")} == {
            n: t for n, t in expected.items() if not n.startswith(".trash")
        }
        assert of(root).items() == ()
        return
    assert "trash undo" in raised.value.hint
    assert (root / name).read_text() == "new"
    (item,) = of(root).items()
    with pytest.raises(DestinationExistsError):
        of(root).undo(item.id)
    (root / name).unlink()
    of(root).undo(item.id)
    assert contents(root) == {n: t for n, t in expected.items() if not n.startswith(".trash")}


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL])
def test_disks_without_a_rename_that_replaces_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(renaming, "_rename_exclusively", lambda *how: code)
    test_what_is_put_there_is_listed_and_comes_back(root)
    item = put(root, "file", "sub/folder")
    for name in ("file", "sub/folder"):
        (root / name).write_text("new")
        with pytest.raises(DestinationExistsError):
            of(root).undo(item.id)
        assert (root / name).read_text() == "new"
        (root / name).unlink()


def test_without_descriptors_of_folders(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_path(path: str) -> open_folders.OpenFolder:
        return open_folders.OpenFolder(path, -1, os.stat(path).st_dev)

    monkeypatch.setattr(trash, "opened_folder", by_path)
    test_what_is_put_there_is_listed_and_comes_back(root)
    test_links_are_refused(root)


def test_undo_replaces_nothing_and_moves_nothing_where_a_name_is_taken(root: Path) -> None:
    item = put(root, *NAMES)
    (root / "sub/folder").mkdir()
    before = contents(root)
    with pytest.raises(DestinationExistsError, match="sub/folder") as raised:
        of(root).undo(item.id)
    assert item.id in raised.value.hint
    assert contents(root) == before


def test_a_name_that_is_taken_in_the_moment_of_undo_is_left_and_the_rest_comes_back_later(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(root)
    item = put(root, *NAMES)
    real = open_folders.OpenFolder.move

    def taken(folder: open_folders.OpenFolder, *how: object) -> None:
        if how[0] == "1":
            (root / "sub/file").write_text("new")
        real(folder, *how)  # type: ignore[arg-type]

    monkeypatch.setattr(open_folders.OpenFolder, "move", taken)
    with pytest.raises(DestinationExistsError):
        of(root).undo(item.id)
    monkeypatch.undo()
    assert (root / "sub/file").read_text() == "new"
    assert [entry.present for entry in of(root).items()[0].entries] == [False, True, True]
    (root / "sub/file").unlink()
    of(root).undo(item.id)
    assert contents(root) == before


def test_undo_never_goes_through_a_link(root: Path) -> None:
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    item = put(root, *NAMES)
    (root / "sub").rmdir()
    (root / "sub").symlink_to(elsewhere)
    with pytest.raises(NotMovedError, match="symbolic link"):
        of(root).undo(item.id)
    assert not [*elsewhere.iterdir()]
    (root / "sub").unlink()
    of(root).undo(item.id)
    assert (root / "sub/file").read_text() == "sub/file"


def _torn(item: Path) -> None:
    (item / "manifest.json").write_text('{"schema": 1')


def _without_manifest(item: Path) -> None:
    (item / "manifest.json").unlink()


def _leading_out(item: Path) -> None:
    document = json.loads((item / "manifest.json").read_text())
    document["entries"][0]["name"] = "../out"
    (item / "manifest.json").write_text(json.dumps(document))


def _later(item: Path) -> None:
    document = json.loads((item / "manifest.json").read_text()) | {"schema": 2}
    (item / "manifest.json").write_text(json.dumps(document))


def _with_another(item: Path) -> None:
    (item / "mine").write_text("mine")


def _linked(item: Path) -> None:
    (item / "manifest.json").rename(item.parent.parent / "manifest.json")
    (item / "manifest.json").symlink_to("../../manifest.json")


@pytest.mark.parametrize(
    "harm", [_torn, _without_manifest, _leading_out, _later, _with_another, _linked]
)
def test_what_is_torn_or_foreign_is_named_and_never_touched(
    root: Path, harm: Callable[[Path], None]
) -> None:
    item = put(root, "file")
    folder = root / ".trash" / item.id
    harm(folder)
    (root / ".trash" / "mine").write_text("mine")
    before = contents(root / ".trash")
    assert of(root).items() == ()
    assert of(root).foreign() == (str(folder), str(root / ".trash/mine"))
    for act in (of(root).undo, lambda one: of(root).empty([one])):
        with pytest.raises(OptionError):
            act(item.id)
    other = put(root, "kept")
    of(root).empty([other.id])
    assert contents(root / ".trash") == before


CALLS = {"open": 1, "pwrite": 1, "fsync": 3, "mkdir": 2}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", CALLS)
def test_where_the_list_cannot_be_written_nothing_is_moved(
    root: Path, call: str, failure: str
) -> None:
    before = contents(root)
    planned = states(root, *NAMES)
    for after in range(CALLS[call]):
        with (
            failing(call, getattr(errno, failure), after),
            pytest.raises(OutputError, match=r"."),
        ):
            of(root).put(planned, why="", command="")
        assert contents(root) == before


def test_a_disk_that_does_not_confirm_the_moves_leaves_all_listed(root: Path) -> None:
    before = contents(root)
    planned = states(root, *NAMES)
    with failing("fsync", errno.EIO, 4), pytest.raises(OutputError, match="durability unknown"):
        of(root).put(planned, why="", command="")
    (item,) = of(root).items()
    of(root).undo(item.id)
    assert contents(root) == before


@pytest.mark.skipif(bool(cannot_mount()), reason=cannot_mount())
def test_what_is_mounted_stays(root: Path) -> None:
    (root / "sub/folder/mounted").mkdir()
    with disk_of("ext4", root.parent) as disk:
        (disk / "precious").write_text("precious")
        for place in ("sub/folder/mounted", "sub"):
            subprocess.run(["mount", "--bind", disk, root / place], check=True)
            try:
                with pytest.raises(NotMovedError, match="mounted"):
                    put(root, "sub/folder" if place != "sub" else "sub")
                with pytest.raises(NotMovedError):
                    put(root, "sub")
            finally:
                subprocess.run(["umount", root / place], check=True)
        assert (disk / "precious").read_text() == "precious"


@pytest.mark.skipif(bool(cannot_mount()), reason=cannot_mount())
def test_a_folder_of_the_same_disk_that_is_mounted_stays(root: Path) -> None:
    other = root.parent / "other"
    other.mkdir()
    (other / "precious").write_text("precious")
    (root / "sub/folder/mounted").mkdir()
    planned = states(root, "sub/folder")
    item = put(root, "file")
    (root / ".trash" / item.id / "0").unlink()
    (root / ".trash" / item.id / "0").mkdir()
    for place in (root / "sub/folder/mounted", root / ".trash" / item.id / "0"):
        subprocess.run(["mount", "--bind", other, place], check=True)
        try:
            with pytest.raises(NotMovedError):
                put(root, "sub/folder") if "sub" in str(place) else of(root).empty([item.id])
        finally:
            subprocess.run(["umount", place], check=True)
    assert (other / "precious").read_text() == "precious"
    assert planned


@pytest.mark.parametrize("kind", ["vfat", "btrfs"])
def test_other_disks(kind: str, tmp_path: Path) -> None:
    problem = cannot_mount(kind)
    if problem:
        pytest.skip(problem)
    with disk_of(kind, tmp_path) as disk:
        (disk / "sub/folder").mkdir(parents=True)
        for name in ("file", "sub/file", "sub/folder/one"):
            (disk / name).write_text(name)
        before = contents(disk)
        item = put(disk, *NAMES)
        of(disk).undo(item.id)
        assert contents(disk) == before
        of(disk).empty([put(disk, *NAMES).id])
        assert sorted(contents(disk)) == ["sub"]


def test_what_a_crash_left_of_an_item_is_removed_by_the_next(root: Path) -> None:
    folder = root / ".trash"
    first = put(root, "file")
    manifest = (folder / first.id / "manifest.json").read_text()
    of(root).undo(first.id)
    for id, text in (("20260101-000000-000001", manifest), ("20260101-000000-000002", "")):
        (folder / id).mkdir(parents=True)
        if text:
            (folder / id / "manifest.json").write_text(text)
    assert of(root).items() == of(root).foreign() == ()
    item = put(root, "file")
    assert os.listdir(folder) == [item.id]
