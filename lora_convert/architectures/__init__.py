"""The model families whose module names are known. One file each; geometry only.

A file is found by its name and imported when its architecture is asked for. What modules each has,
`lora_convert.architectures._owners` knows without importing any; it is made from them.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module

from lora_convert.architectures._index import Digits, Entry, fill, find, find_all, index, skeleton
from lora_convert.architectures._names import NAMES
from lora_convert.architectures._single_files import SINGLE_FILES
from lora_convert.architectures._vocabulary import AUTHORS, Architecture, Component, Row, Sign


class _Registry(MutableMapping[str, Architecture]):
    """Architectures by name; each is imported when it is first asked for."""

    def __init__(self) -> None:
        self._found: dict[str, Architecture | None] = dict.fromkeys(NAMES)

    def __getitem__(self, name: str) -> Architecture:
        found = self._found[name]
        if found is None:
            module = import_module(f"lora_convert.architectures.{name}")
            found = self._found[name] = getattr(module, name.upper())
        return found

    def __setitem__(self, name: str, architecture: Architecture) -> None:
        self._found[name] = architecture

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, name: object) -> bool:
        return name in self._found


ARCHITECTURES = _Registry()

__all__ = [
    "ARCHITECTURES",
    "AUTHORS",
    "SINGLE_FILES",
    "Architecture",
    "Component",
    "Digits",
    "Entry",
    "Row",
    "Sign",
    "fill",
    "find",
    "find_all",
    "index",
    "skeleton",
]
