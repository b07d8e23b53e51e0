"""Files that are not one's own are seen before a folder is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_convert.storage.strangers import strangers


def test_what_is_not_ones_own_is_told(tmp_path: Path) -> None:
    (tmp_path / "unet" / "deep").mkdir(parents=True)
    for name in ("model_index.json", "unet/a", "unet/deep/b"):
        (tmp_path / name).write_text("")
    own = {"model_index.json", "unet/a", "unet/deep/b", "unet/gone"}
    assert strangers(str(tmp_path), own) == ()
    assert strangers(str(tmp_path), own - {"unet/deep/b"}) == ("unet/deep/b",)
    assert strangers(str(tmp_path), (), most=2) == ("model_index.json", "unet/a")
    assert strangers(str(tmp_path / "nothing"), ()) == (".",)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_names(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "link").symlink_to("/")
    assert strangers(str(tmp_path / "x"), ()) == ("link",)
    assert strangers(str(tmp_path / "x"), {"link"}) == ()


def test_what_file_managers_leave_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    for name in (".DS_Store", "unet/._a", "unet/Thumbs.db", "unet/mine.DS_Store"):
        (tmp_path / name).write_text("")
    assert strangers(str(tmp_path), ()) == ("unet/mine.DS_Store",)
