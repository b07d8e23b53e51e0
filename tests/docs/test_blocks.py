"""What the documentation shows is what happens."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, comparable, needs_shell, normal, run
from tests.docs.shelf import around

RUNNABLE = [
    path
    for path in PAGES
    if any(b.language in {"bash", "python"} for b in blocks(path.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("path", RUNNABLE, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks_run_and_print_what_stands_after_them(path: Path, scratch: Path) -> None:
    names: dict[str, object] = {}
    with around(path, scratch):
        for block in blocks(path.read_text(encoding="utf-8")):
            if block.language not in {"bash", "python"}:
                continue
            if needs_shell(block) and shutil.which("bash") is None:
                pytest.skip("no bash here")
            printed = normal(run(block, names), str(scratch))
            if block.output is not None:
                told = f"{path.name}, line {block.line}; if it is right now: python -m tests.docs.refresh"
                assert comparable(printed) == comparable(block.output), told


def test_languages_are_known() -> None:
    known = {"bash", "powershell", "python", "text", "json", "toml"}
    for path in PAGES:
        assert {block.language for block in blocks(path.read_text(encoding="utf-8"))} <= known, path
