"""The texts in a PNG image, which web UIs keep an image's generation parameters in (PNG 1.2, 11.3.4)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PARAMETERS = "parameters"
"""What AUTOMATIC1111's web UI calls them (modules/images.py), and Civitai reads."""
_TEXTS = (b"tEXt", b"iTXt", b"zTXt")


def is_png(data: bytes) -> bool:
    """Whether bytes begin as a PNG does."""
    return data.startswith(_SIGNATURE) and data[12:16] == b"IHDR"


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG, in pixels."""
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def text_in(data: bytes, keyword: str) -> str:
    """The text under a keyword; empty where there is none that is plain."""
    for kind, content in _chunks(data):
        name, _, rest = content.partition(b"\0")
        if kind not in _TEXTS or name != keyword.encode("latin-1"):
            continue
        if kind == b"tEXt":
            return rest.decode("latin-1")
        if kind == b"iTXt" and rest[:1] == b"\0":
            return rest[2:].split(b"\0", 2)[-1].decode("utf-8", "replace")
    return ""


def with_text(data: bytes, keyword: str, text: str) -> bytes:
    """A PNG with a text under a keyword, in place of what it has there; its pixels as they are."""
    name = keyword.encode("latin-1")
    parts = [_SIGNATURE]
    for kind, content in _chunks(data):
        if kind in _TEXTS and content.partition(b"\0")[0] == name:
            continue
        parts.append(_chunk(kind, content))
        if kind == b"IHDR":
            try:
                parts.append(_chunk(b"tEXt", name + b"\0" + text.encode("latin-1")))
            except UnicodeEncodeError:
                parts.append(_chunk(b"iTXt", name + b"\0\0\0\0\0" + text.encode()))
    return b"".join(parts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk, as far as they are whole."""
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if at + 12 + length > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
