"""Names of compacted files: what stands in the place of a large one that can be rebuilt to the byte.

``NAME`` becomes ``NAME.recipe``, which lists where each of its bytes is, and an adapter beside it. What
many checkpoints have in common lies once in a folder above them.
"""

from __future__ import annotations

import os
from collections.abc import Collection

RECIPE = ".recipe"
"""Ending of a recipe's name, after the name of the file that it stands for."""
BASES = "compacted_bases"
"""Folder above compacted files of what they have in common: a store."""
ADAPTER = ".adapter.safetensors"
"""Ending of an adapter's name that was taken from a compacted file."""


def recipe_of(path: str) -> str:
    """The recipe that stands, or would stand, for a file."""
    return path + RECIPE


def before(name: str) -> str:
    """The name that a file had before it was compacted; of other files their own."""
    return name.removesuffix(RECIPE)


def exists(path: str) -> bool:
    """Whether a path is there: itself, a link that leads nowhere too, or a recipe that stands for it."""
    return os.path.lexists(path) or os.path.isfile(recipe_of(path))


def adapter_names(name: str) -> tuple[str, str]:
    """What the adapter of a compacted file may be called; the second where the first is another's."""
    return os.path.splitext(name)[0] + ADAPTER, name + ADAPTER


def as_before(names: Collection[str]) -> list[str]:
    """The names in a folder as they were before its files were compacted."""
    whole = [before(name) for name in names if name.endswith(RECIPE)]
    if not whole:
        return [*names]
    ours = {made for name in whole for made in (recipe_of(name), *adapter_names(name))}
    return [*dict.fromkeys([*(name for name in names if name not in ours), *whole])]
