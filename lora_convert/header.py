"""What a file says before its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.tensors.expr import Stored


class Header(NamedTuple):
    """Names, places and file metadata of a checkpoint, and the values of its scalars."""

    tensors: dict[str, Stored]
    """By name, in file order. In a folder of parts a name begins with ``<part>/``."""
    metadata: dict[str, str]
    scalars: dict[str, tuple[float, ...]]
    """Values of tensors of at most eight elements and one dimension; a true scalar has one."""
    documents: tuple[Document, ...] = ()
    """Configurations that lie in the file itself."""
    rest: Mapping[str, Any] = {}
    """What a training script saved beside the weights, by its place, as JSON has it."""
    unread: frozenset[str] = frozenset()
    """Names of scalars that were not read: those of a file far away, which lie apart from its header."""


class Document(NamedTuple):
    """Configuration that lies with a checkpoint, as JSON has it."""

    path: str
    part: str
    """Subfolder of the checkpoint it belongs to, or an empty string."""
    beside: bool
    """True for the adapter's own, beside the weights; False for one that may be about something else."""
    data: object
    adapter: str = ""
    """A name of its own: of an adapter in the same file, it says nothing of others."""
