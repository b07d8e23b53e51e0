"""A scratch folder with the files that pages speak of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.workbench import build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workbench's files, made once."""
    folder = tmp_path_factory.mktemp("workbench")
    build(folder)
    return folder


@pytest.fixture
def scratch(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, as the current folder."""
    folder = tmp_path / "scratch"
    shutil.copytree(built, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder.resolve()
