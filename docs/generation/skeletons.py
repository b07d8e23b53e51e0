"""What names each architecture has, for a first look that imports none of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from textwrap import wrap

import lora_convert.architectures
from lora_convert.architectures import Architecture, skeleton
from lora_convert.architectures._vocabulary import NAMESPACES

FOLDER = Path(lora_convert.architectures.__file__).parent

NAMES_HEAD = '''"""The architectures, which are found by their names.

Written by ``python docs/generate.py`` from the files beside it.
"""

from __future__ import annotations

NAMES = (
'''

OWNERS_HEAD = '''"""Which architectures have a module, its numbers as ``#`` and its words joined by ``_``.

Written by ``python docs/generate.py`` from the architectures' files.
"""

from __future__ import annotations

OWNERS = {
'''

NUMBERS_HEAD = '''"""The numbers in names that several architectures have, by name and by architecture.

A text for each ``#``: the numbers that may stand there, or nothing where any may.
Written by ``python docs/generate.py`` from the architectures' files.
"""

from __future__ import annotations

NUMBERS: dict[str, dict[str, tuple[str, ...]]] = {
'''

Columns = tuple[str, ...]

_LINE = 100


def indexes() -> dict[Path, str]:
    """The texts of what is known of names without importing an architecture, by file."""
    files = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    modules = {name: _modules(_architecture(name)) for name in files}
    return {
        FOLDER / "_names.py": NAMES_HEAD + "".join(f'    "{name}",\n' for name in files) + ")\n",
        FOLDER / "_owners.py": OWNERS_HEAD + "".join(_owner_lines(modules)) + "}\n",
        FOLDER / "_numbers.py": NUMBERS_HEAD + "".join(_number_lines(modules)) + "}\n",
    }


def _architecture(name: str) -> Architecture:
    found: Architecture = getattr(import_module(f"lora_convert.architectures.{name}"), name.upper())
    return found


def _owner_lines(modules: dict[str, dict[str, Columns]]) -> Iterator[str]:
    for module in sorted({module for found in modules.values() for module in found}):
        owners = " ".join(name for name, found in modules.items() if module in found)
        line = f'    "{module}": "{owners}",\n'
        yield line if len(line) <= _LINE else _folded(module, owners)


def _folded(module: str, owners: str) -> str:
    """The line of a module that too many have for one."""
    parts = wrap(owners, _LINE - 15)
    texts = [f'        "{part} "\n' for part in parts[:-1]] + [f'        "{parts[-1]}"\n']
    return f'    "{module}": (\n{"".join(texts)}    ),\n'


def _number_lines(modules: dict[str, dict[str, Columns]]) -> Iterator[str]:
    owners = Counter(module for found in modules.values() for module in found)
    for module in sorted(name for name, count in owners.items() if count > 1):
        known = {name: found[module] for name, found in modules.items() if module in found}
        limited = {name: columns for name, columns in known.items() if any(columns)}
        if limited:
            yield f'    "{module}": {{\n'
            for name, columns in limited.items():
                texts = ", ".join(f'"{column}"' for column in columns)
                yield f'        "{name}": ({texts},),\n'
            yield "    },\n"


def _modules(architecture: Architecture) -> dict[str, Columns]:
    """By skeleton: the numbers that its names have at each place."""
    found: dict[str, list[set[str]]] = {}
    for component in architecture.components:
        for row in (*component.rows, *component.norms):
            for namespace in NAMESPACES:
                for name in row.names(namespace):
                    text, digits = skeleton(name)
                    columns = found.setdefault(text.replace(".", "_"), [set() for _ in digits])
                    for column, digit in zip(columns, digits, strict=True):
                        column.add(digit)
        if component.walk:
            found["#"] = [{"{}"}]  # a module, numbered
    return {text: tuple(map(_listed, columns)) for text, columns in found.items()}


def _listed(numbers: set[str]) -> str:
    return "" if "{}" in numbers else " ".join(sorted(numbers, key=int))
