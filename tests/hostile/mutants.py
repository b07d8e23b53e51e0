"""Torch checkpoints near sound ones: edited where they have structure, and anywhere.

Checksums are right again after an edit, so that what a checksum would catch is not all that is tried.
"""

from __future__ import annotations

import pickletools
import random
import struct
import zipfile
from contextlib import suppress
from io import BytesIO

from fixtures.hostile.assembling import MODULE, PAIR, Packed, dictionary, number, pickled, zipped
from fixtures.hostile.assembling import text as text_of
from fixtures.hostile.live_pickles import FRAGMENTS
from fixtures.hostile.torch_files import PICKLES, UNSAFE
from fixtures.hostile.torch_zips import HARMLESS, ZIPS
from lora_convert.storage.pickle_names import ALLOWED

NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 9, 16, 31, 32, 33, 64, 255, 256, 65535, 65536, -1, -2, 1 << 31, (1 << 31) - 1,
    (1 << 32) - 1, 1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip
KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k"
TEXTS = (
    "", "a", "0", "1", "r", "alpha", "lora_alpha", ".alpha", f"{MODULE}.lora_A.weight", "state_dict", "unet",
    f"{MODULE}.lora_B.weight", f"{KOHYA}.alpha", f"{KOHYA}.lora_down.weight", "lora_config", "metadata",
    "optimizer", "storage", "cpu", "latin1", "\ud800", "\x1b[2J", "x" * 300, "__metadata__", "\0",
)  # fmt: skip
_SMALL = 40_000
"""Bytes of what is mutated: small files are tried more often in the same time."""


def edited_bytes(draw: random.Random, data: bytes, most: int = 4) -> bytes:
    """Bytes changed, left out, put in, doubled, or cut off."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, most)):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << draw.randrange(8)
            case 1 if at < len(changed):
                changed[at] = draw.randrange(256)
            case 2:
                del changed[at : at + draw.randint(1, 8)]
            case 3:
                changed[at:at] = draw.randbytes(draw.randint(1, 4))
            case 4:
                changed[at:at] = changed[at : at + draw.randint(1, 16)]
            case _:
                width = draw.choice((1, 2, 4, 8))
                value = draw.choice(NUMBERS) % (1 << 8 * width)
                changed[at : at + width] = value.to_bytes(width, "little")
    return bytes(changed)


class Torch:
    """Torch checkpoints."""

    seeds = tuple(
        data for data in (UNSAFE | PICKLES | ZIPS | HARMLESS).values() if len(data) < _SMALL
    )
    modules = (
        "kinds", "zip_entries", "torch_zip", "unpickling", "pickle_machine", "pickle_names", "pickled",
        "payload", "describing",
    )  # fmt: skip

    def __init__(self) -> None:
        self._chunks = [chunk for data in self.seeds for chunk in _chunks(_pickle_of(data))]
        self._chunks += [*FRAGMENTS.values(), *PAIR.values(), dictionary(PAIR)]
        self._chunks += [
            b"c" + name.rpartition(".")[0].encode() + b"\n" + name.rpartition(".")[2].encode() + b"\n"
            for name in sorted(ALLOWED)
        ]  # fmt: skip

    def mutant(self, draw: random.Random, data: bytes, other: bytes) -> bytes:
        """A file near `data`, or between it and `other`."""
        entries = _entries_of(data)
        if not entries or draw.random() < 0.1:
            return edited_bytes(draw, data)
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            match draw.randrange(10):
                case 0:
                    entries = _spliced(draw, entries, _entries_of(other))
                case 1:
                    return self._zipped(draw, entries)
                case 2:
                    at = draw.randrange(len(entries))
                    entries[at] = entries[at]._replace(data=edited_bytes(draw, entries[at].data))
                case _:
                    at = next((n for n, e in enumerate(entries) if _is_pickle(e)), 0)
                    edited = self._pickle(draw, entries[at].data, _pickle_of(other))
                    entries[at] = entries[at]._replace(data=edited)
        return zipped(entries)

    def _pickle(self, draw: random.Random, data: bytes, other: bytes) -> bytes:
        chunks, others = _chunks(data), _chunks(other)
        if not chunks:
            return edited_bytes(draw, data)
        for _ in range(draw.choice((1, 1, 2, 4))):
            at = draw.randrange(len(chunks))
            match draw.randrange(8):
                case 0:
                    del chunks[at : at + draw.randint(1, 3)]
                case 1:
                    chunks.insert(at, draw.choice(self._chunks))
                case 2:
                    chunks[at] = draw.choice(self._chunks)
                case 3:
                    chunks.insert(at, chunks[draw.randrange(len(chunks))])
                case 4:
                    to = draw.randrange(len(chunks))
                    chunks[at], chunks[to] = chunks[to], chunks[at]
                case 5 if others:
                    start = draw.randrange(len(others))
                    chunks[at:at] = others[start : start + draw.randint(1, 20)]
                case 6:
                    chunks[at] = _other_argument(draw, chunks[at])
                case _:
                    value = number(draw.choice(NUMBERS)) if draw.random() < 0.5 else b""
                    chunks[at] = value or text_of(draw.choice(TEXTS))
            if not chunks:
                return pickled()
        return b"".join(chunks)

    def _zipped(self, draw: random.Random, entries: list[Packed]) -> bytes:
        fields = ("flags", "method", "crc", "packed", "size", "header", "disk", "version")
        at = draw.randrange(len(entries))
        field = draw.choice(fields)
        width = 0xFFFF if field in {"flags", "method", "disk", "version"} else 0xFFFFFFFF
        changes = {field: draw.choice(NUMBERS) & width}
        extra = struct.pack("<HHQQ", 1, 16, *(draw.choice(NUMBERS) & (1 << 64) - 1 for _ in "ab"))
        more: list[dict[str, object]] = [
            {"local": changes},
            {"central": changes},
            {"local": changes, "central": changes},
            {"central_extra": extra, "central": {"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF}},
            {"extra": extra[: draw.randrange(20)]},
            {"after": draw.randbytes(draw.choice((1, 12, 16, 24))), "central": {"flags": 8}},
            {"gap": draw.randbytes(3)},
            {"name": draw.choice(TEXTS).encode("utf-8", "surrogatepass")},
        ]
        entries[at] = entries[at]._replace(**draw.choice(more))
        end = draw.choice(("disk", "first", "here", "count", "size", "offset"))
        told = {end: draw.choice(NUMBERS) & 0xFFFF} if draw.random() < 0.2 else {}
        return zipped(entries, **told)


def _entries_of(data: bytes) -> list[Packed]:
    """The entries of a zip, as far as Python finds them."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as file:
            return [
                Packed(e.filename.encode("utf-8", "surrogatepass"), _data_of(data, e))
                for e in file.infolist()
            ]
    except Exception:  # noqa: BLE001  # what Python cannot open is edited as bytes
        return []


def _data_of(data: bytes, entry: zipfile.ZipInfo) -> bytes:
    named, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
    start = entry.header_offset + 30 + named + extra
    return data[start : start + min(entry.compress_size, _SMALL)]


def _is_pickle(entry: Packed) -> bool:
    return bytes(entry.name).endswith(b"/data.pkl")  # type: ignore[arg-type]


def _pickle_of(data: bytes) -> bytes:
    return next((entry.data for entry in _entries_of(data) if _is_pickle(entry)), b"")


def _spliced(draw: random.Random, one: list[Packed], other: list[Packed]) -> list[Packed]:
    """Entries of both."""
    return [draw.choice((entry, *other)) if draw.random() < 0.3 else entry for entry in one]


def _chunks(pickle: bytes) -> list[bytes]:
    """The instructions of a pickle, each with its argument, as far as they can be told apart."""
    places = []
    with suppress(Exception):  # broken from there on
        for _, _, at in pickletools.genops(pickle):
            places.append(at)
    ends = [*places[1:], len(pickle)] if places else []
    return [pickle[a:b] for a, b in zip(places, ends, strict=True)]


def _other_argument(draw: random.Random, chunk: bytes) -> bytes:
    """The same instruction with another argument."""
    width = len(chunk) - 1
    if chunk[:1] in b"KMJhjqr" and 0 < width <= 4:
        return chunk[:1] + (draw.choice(NUMBERS) % (1 << 8 * width)).to_bytes(width, "little")
    return chunk[:1] + edited_bytes(draw, chunk[1:], 1)
