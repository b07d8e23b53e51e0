"""What a file says before its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lora_convert.tensors.source import Source


class Header(NamedTuple):
    """Names, places and file metadata of a checkpoint, and the values of its scalars."""

    tensors: dict[str, Source]
    """By name, in file order. In a folder of parts a name begins with ``<part>/``."""
    metadata: dict[str, str]
    scalars: dict[str, tuple[float, ...]]
    """Values of tensors of at most eight elements and one dimension; a true scalar has one."""


class Document(NamedTuple):
    """A JSON document that lies with a checkpoint."""

    path: str
    part: str
    """Subfolder of the checkpoint it belongs to, or an empty string."""
    beside: bool
    """True beside the weights; False for a run's own configuration, found in a parent folder."""
    data: object
