"""What kind of file a file is, by its first bytes; its name may say anything."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal, TypeAlias

from lora_convert.errors import CorruptCheckpointError, UnknownFormatError

if TYPE_CHECKING:
    from lora_convert.storage.files import SourceFile

Kind: TypeAlias = Literal["safetensors", "torch zip"]

_RESAVED = "saved again"
"""Stands for the command that saves a file again."""
_PAGE = ("is an HTML page, not a checkpoint", "download the file again, from its direct link")
_BROKEN = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself", "git lfs pull"),
    (b"<!doctype html", *_PAGE),
    (b"<html", *_PAGE),
)
_OLD_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""The pickled number that torch before 1.6 begins with (torch/serialization.py, MAGIC_NUMBER)."""
_PICKLE = ("a pickle that torch.save did not write", "save the weights as safetensors")
_ARCHIVE = "unpack it first"
_PROTOCOLS = (b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5")
_OLDER = ("a torch checkpoint from before torch 1.6", _RESAVED)
_FOREIGN = (
    *((start + _OLD_TORCH, *_OLDER) for start in _PROTOCOLS),
    *((start, *_PICKLE) for start in _PROTOCOLS),
    (b"GGUF", "a GGUF model", ""),
    (b"\x89HDF\r\n", "an HDF5 file", ""),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _ARCHIVE),
    (b"\x1f\x8b", "a gzip archive", _ARCHIVE),
    (b"Rar!", "a RAR archive", _ARCHIVE),
)
_TAR_MARK = 257
"""Where a tar archive says that it is one."""


def kind_of(file: SourceFile) -> Kind:
    """The container a file is; files that are none are refused by name.

    A file whose ninth byte opens a safetensors header is never taken for anything else.
    """
    beginning = file.read(0, min(512, file.size))
    if beginning[8:9] == b"{":
        return "safetensors"
    if beginning.startswith(b"PK\3\4"):
        return "torch zip"
    lowered = beginning.lstrip().lower()
    for mark, problem, hint in _BROKEN:
        if lowered.startswith(mark):
            raise CorruptCheckpointError(file.path, problem, hint=hint)
    for mark, title, hint in _FOREIGN:
        if beginning.startswith(mark):
            again = resave(file.path) if hint == _RESAVED else hint
            raise UnknownFormatError(file.path, known_as=title, hint=again)
    if beginning[_TAR_MARK:].startswith(b"ustar"):
        raise UnknownFormatError(
            file.path,
            known_as="a tar archive, as torch before 0.1.10 wrote",
            hint="save it again with the torch that wrote it, where you trust who made it",
        )
    return "safetensors"


def resave(path: str) -> str:
    """The command that makes a torch checkpoint of another time or machine readable."""
    plain = re.fullmatch(r"[\w./ -]+", path) is not None
    old, new = (path, f"{os.path.splitext(path)[0]}-new.pt") if plain else ("OLD.pt", "NEW.pt")
    return (
        f"python -c \"import torch; torch.save(torch.load('{old}', weights_only=True), '{new}')\""
    )
