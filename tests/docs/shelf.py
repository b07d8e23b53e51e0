"""What lies on the Hub for the pages that speak of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tests.hub.in_process import served

PAGES = ("files-on-the-hub.md", "share-a-lora.md")


@contextmanager
def shelf(folder: Path) -> Iterator[None]:
    """A Hub on which the files of the workbench in `folder` lie."""
    with served(str(folder / "hub-cache")) as hub:
        shoes = hub.repository("user/shoes")
        shoes.put("style.safetensors", (folder / "style.safetensors").read_bytes())
        shoes.tags["v1"] = shoes.branches["main"]
        adapter = hub.repository("user/adapter", private=True)
        for path in sorted((folder / "adapter").iterdir()):
            adapter.put(path.name, path.read_bytes())
        yield


def around(page: Path, folder: Path) -> Any:
    """What the blocks of a page run in."""
    return shelf(folder) if page.name in PAGES else nullcontext()
