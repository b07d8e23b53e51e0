"""Plans: what will be written, to the byte, and what would be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from lora_convert.tensors.dtypes import BITS, byte_count
from lora_convert.tensors.ranges import Range, pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.tensors.expr import Expr

LossKind: TypeAlias = Literal[
    "scale assumed",
    "alpha rounded",
    "scale folded",
    "dtype narrowed",
    "changed base",
    "reader gap",
    "rank lowered",
    "not low-rank",
]
LossPolicy: TypeAlias = Literal["allow", "warn", "refuse"]

SHARED_BLOCK = 4096
"""Bytes: what file systems that share blocks between files use (btrfs, XFS, bcachefs)."""
SHARED_FROM = 1 << 20
"""Bytes of data from which sharing is worth up to a block of spaces."""


class Loss(NamedTuple):
    """Something the target cannot hold, or that had to be assumed."""

    kind: LossKind
    detail: str
    affected: int
    """Modules or tensors concerned."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


def head_of(entries: Mapping[str, object], origin: int | None) -> bytes:
    """A safetensors file's bytes before its data, from the entries of its header.

    Padded with spaces to a multiple of eight; where the data is that of a file in which it begins at
    `origin`, to the same remainder of a block, so that both files can share it. The file system is not
    asked: equal inputs give equal bytes everywhere.
    """
    import json

    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8 if origin is None else (origin - 8 - len(text)) % SHARED_BLOCK)
    return len(text).to_bytes(8, "little") + text


class TensorFile(NamedTuple):
    """A safetensors file to be written."""

    name: str
    """Relative to the output folder; its last part is the file's name."""
    tensors: Mapping[str, Expr]
    metadata: Mapping[str, str]

    def layout(self) -> list[tuple[str, Expr, int, int]]:
        """Name, expression, offset and size of every tensor, in file order.

        Wider dtypes first, then by name: every tensor is aligned, and equal content gives equal bytes.
        """
        order = sorted(self.tensors.items(), key=lambda item: (-BITS[item[1].dtype], item[0]))
        placed = []
        offset = 0
        for name, expr in order:
            size = byte_count(expr.dtype, expr.shape)
            placed.append((name, expr, offset, size))
            offset += size
        return placed

    def head(self) -> bytes:
        """The file's bytes before its data.

        The data begins where `head_of` says, of a source where it lies alike.
        """
        entries: dict[str, object] = {}
        if self.metadata:
            entries["__metadata__"] = dict(sorted(self.metadata.items()))
        for name, expr, offset, size in self.layout():
            entries[name] = {
                "dtype": expr.dtype,
                "shape": list(expr.shape),
                "data_offsets": [offset, offset + size],
            }
        return head_of(entries, self._origin())

    def _origin(self) -> int | None:
        """Where in one source the data would begin that is copied; None where it does not lie alike.

        Tensors that are computed stand in the place of others of their size: the rest may lie alike all
        the same. It is None too where little is copied.
        """
        places: set[tuple[int, int]] = set()
        copied = 0
        for _, expr, offset, _ in self.layout():
            at = offset
            for piece in pieces(expr) or ():
                if not isinstance(piece, Range):
                    return None
                if piece.size:
                    places.add((piece.file, piece.start - at))
                at += piece.size
                copied += piece.size
        start = places.pop()[1] if len(places) == 1 else 1
        return start if start % 8 == 0 and copied >= SHARED_FROM else None

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        data = sum(byte_count(expr.dtype, expr.shape) for expr in self.tensors.values())
        return len(self.head()) + data


class TextFile(NamedTuple):
    """A small document to be written."""

    name: str
    text: str

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.text.encode())


class Plan(NamedTuple):
    """Files to be written together: one file, or a folder that appears whole."""

    files: tuple[TensorFile | TextFile, ...]
    folder: bool
    """Whether the output is a folder that holds all of `files`."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)
