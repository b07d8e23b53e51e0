"""``python -m tests.docs.refresh [PAGE…]`` writes the outputs in the documentation anew."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.docs.pages import PAGES, blocks, normal, run
from tests.docs.shelf import around
from tests.docs.workbench import build


def main() -> None:
    """Run every page on a copy of the workbench and put what it printed where the output stands."""
    os.environ["COLUMNS"] = "100"
    wanted = [Path(name).resolve() for name in sys.argv[1:]] or PAGES
    with tempfile.TemporaryDirectory() as temporary:
        built = Path(temporary, "built")
        built.mkdir()
        build(built)
        for number, path in enumerate(wanted):
            place = Path(temporary, str(number)).resolve()
            shutil.copytree(built, place)
            os.chdir(place)
            _refresh(path, str(place))


def _refresh(path: Path, folder: str) -> None:
    page = path.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    with around(path, Path(folder)):
        printed = [
            (block, run(block, names))
            for block in blocks(page)
            if block.language in {"bash", "python"}
        ]
    for block, output in reversed(printed):
        if block.output is not None:
            start, stop = block.span
            page = page[:start] + normal(output, folder) + page[stop:]
    if page != path.read_text(encoding="utf-8"):
        path.write_text(page, encoding="utf-8", newline="\n")
        print(f"written: {path}")


if __name__ == "__main__":
    main()
