"""What names each architecture has, for a first look that imports none of them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from textwrap import indent, wrap

import lora_convert.architectures
from lora_convert.architectures import Architecture, skeleton

FOLDER = Path(lora_convert.architectures.__file__).parent
INDEX = FOLDER / "_skeletons.py"

HEAD = '''"""Names of modules, by architecture: numbers as ``#``, words joined by ``_``.

Written by ``python docs/generate.py`` from the architectures' files, which are found by their names.
"""

from __future__ import annotations

SKELETONS = {
'''


def skeletons_module() -> str:
    """The text of ``_skeletons.py``."""
    files = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    return HEAD + "".join(map(_entry, files)) + "}\n"


def _entry(name: str) -> str:
    found = getattr(import_module(f"lora_convert.architectures.{name}"), name.upper())
    text = " ".join(sorted(set(_skeletons(found))))
    lines = "\n".join(wrap(text, 92, break_long_words=False, break_on_hyphens=False))
    return f'    "{name}": """\n{indent(lines, " " * 8)}\n    """,\n'


def _skeletons(architecture: Architecture) -> Iterator[str]:
    for component in architecture.components:
        for row in component.rows:
            for namespace in ("diffusers", "native", "original", "model"):
                for name in row.names(namespace):
                    yield skeleton(name)[0].replace(".", "_")
