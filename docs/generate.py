"""Writes docs/reference/, and the index of architectures' names, from the code: ``python docs/generate.py``.

With ``--check`` nothing is written, and the exit code is 1 where a page differs from what is there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
sys.path[:0] = [str(ROOT / "docs"), str(ROOT)]

from generation.commands import commands_page  # noqa: E402  neither docs nor tests are installed
from generation.errors import errors_page  # noqa: E402
from generation.formats import formats_page  # noqa: E402
from generation.json_fields import json_page  # noqa: E402
from generation.programs import programs_page  # noqa: E402
from generation.python_api import library_page  # noqa: E402
from generation.skeletons import indexes  # noqa: E402


def pages() -> dict[str, str]:
    """Every page of the reference: file name to text."""
    return {
        "commands.md": commands_page(),
        "formats.md": formats_page(),
        "programs.md": programs_page(),
        "errors.md": errors_page(),
        "json.md": json_page(),
        "library.md": library_page(),
    }


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def main() -> None:
    """Write the pages and the index, or compare them."""
    writing = "--check" not in sys.argv
    stale = []
    old = {path: text for path, text in indexes().items() if not _is(path, text)}
    stale += [path.name for path in old]
    if old and writing:
        for path, text in old.items():
            path.write_text(text, encoding="utf-8", newline="\n")
        # the pages are made with the indexes that are imported
        os.execv(sys.executable, (sys.executable, *sys.argv))
    for name, text in pages().items():
        path = REFERENCE / name
        if _is(path, text):
            continue
        stale.append(name)
        if writing:
            path.write_text(text, encoding="utf-8", newline="\n")
    print(
        f"{'differs' if '--check' in sys.argv else 'written'}: {', '.join(stale)}"
        if stale
        else "up to date"
    )
    sys.exit(1 if stale and "--check" in sys.argv else 0)


if __name__ == "__main__":
    main()
