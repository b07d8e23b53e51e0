"""Reading safetensors headers. Every rule of the format is checked here, once, at the door.

The format: eight bytes of length, a JSON object, the data (safetensors 0.8, README "Format"). Stricter
than the library in four points: as the format says, duplicate names are refused, and headers that do
not begin with a brace; and so are fields it does not know, and more values than any checkpoint has.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from lora_convert.errors import CorruptCheckpointError
from lora_convert.tensors.dtypes import BITS
from lora_convert.tensors.source import Source

if TYPE_CHECKING:
    from lora_convert.storage.files import SourceFile

MAX_HEADER = 100_000_000
"""Bytes of JSON, the library's own limit."""
MAX_TENSORS = 200_000
"""More than any checkpoint holds; beyond it a header is an attack on time."""
MAX_VALUES = 4_000_000
"""Commas and opening brackets in a header, those in texts too: a bound on the memory of parsing it."""
MAX_NAMES = 10_000_000
"""Characters of all names: every one is taken apart, by several formats' rules."""
MAX_WIDE = 25_000_000
"""Bytes of JSON that is not ASCII: one large character makes Python keep all of a text in four bytes each."""
MAX_DIMENSIONS = 64
_TEXT = frozenset(range(32, 127)) | {9, 10, 13}
"""Bytes of a plain text."""
MAX_SCALARS = 100_000
_FIELDS = {"dtype", "shape", "data_offsets"}
_AGAIN = "download or save the file again"


def read_header(file: SourceFile, number: int) -> tuple[dict[str, Source], dict[str, str]]:
    """Tensors by name, in file order, and file metadata; `number` is the file's place in its checkpoint."""
    entries, data_start = _entries(file)
    metadata = _metadata(file, entries.pop("__metadata__", None))
    sources = [_source(file, number, data_start, name, entry) for name, entry in entries.items()]
    sources.sort(key=lambda source: (source.start, source.size))
    _check_tiling(file, sources, data_start)
    return {source.name: source for source in sources}, metadata


def _entries(file: SourceFile) -> tuple[dict[str, Any], int]:
    beginning = file.read(0, min(64, file.size))
    if file.size < 8:
        problem = f"has {file.size} bytes; a header needs 8" if file.size else "is empty"
        raise CorruptCheckpointError(file.path, problem, hint=_AGAIN)
    (length,) = struct.unpack("<Q", beginning[:8])
    claim = f"claims a header of {length:,} bytes"
    if length > MAX_HEADER and all(byte in _TEXT for byte in beginning):
        raise CorruptCheckpointError(file.path, "is a text file, not a checkpoint")
    if length > MAX_HEADER:
        raise CorruptCheckpointError(file.path, f"{claim}; the limit is {MAX_HEADER:,}")
    if 8 + length > file.size:
        raise CorruptCheckpointError(
            file.path, f"{claim} but has {file.size:,}", why="the file is truncated", hint=_AGAIN
        )
    entries = _parsed(file, file.read(8, length))
    if len(entries) > MAX_TENSORS:
        problem = f"lists {len(entries):,} tensors; the limit is {MAX_TENSORS:,}"
        raise CorruptCheckpointError(file.path, problem)
    if sum(map(len, entries)) > MAX_NAMES:
        problem = f"its names have more than {MAX_NAMES:,} characters"
        raise CorruptCheckpointError(file.path, problem)
    return entries, 8 + length


def _parsed(file: SourceFile, data: bytes) -> dict[str, Any]:
    if not data.startswith(b"{"):
        raise CorruptCheckpointError(file.path, "its header is not a JSON object")
    if len(data) > MAX_WIDE and not data.isascii():
        problem = f"its header is not ASCII, and longer than {MAX_WIDE:,} bytes"
        raise CorruptCheckpointError(file.path, problem)
    if max(sum(map(data.count, (b",", b"[", b"{"))), data.count(b'"')) > MAX_VALUES:
        raise CorruptCheckpointError(file.path, f"its header has more than {MAX_VALUES:,} values")
    try:
        text = data.decode()
        entries = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_whole
        )
        if "\\u" in text:
            json.dumps(entries, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except UnicodeError as error:
        raise CorruptCheckpointError(file.path, "its header is not UTF-8") from error
    except RecursionError as error:
        raise CorruptCheckpointError(file.path, "its header is nested too deeply") from error
    except ValueError as error:
        raise CorruptCheckpointError(file.path, f"its header is not valid JSON: {error}") from error
    found: dict[str, Any] = entries
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the name {name!r} is there twice")
            seen.add(name)
    return found


def _whole(digits: str) -> int:
    """A JSON integer; minus zero is none, for the library neither."""
    return int(digits) if digits != "-0" else -1


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _metadata(file: SourceFile, value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise CorruptCheckpointError(file.path, "its __metadata__ is not a map of texts")
    return value


def _source(file: SourceFile, number: int, data_start: int, name: str, entry: object) -> Source:
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        problem = f"tensor {name!r} must have dtype, shape and data_offsets"
        raise CorruptCheckpointError(file.path, problem)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    problem = _problem(dtype, shape, offsets)
    if problem:
        raise CorruptCheckpointError(file.path, f"tensor {name!r} {problem}")
    start, stop = offsets
    if data_start + stop > file.size:
        problem = f"tensor {name!r} ends at byte {data_start + stop:,}, the file at {file.size:,}"
        raise CorruptCheckpointError(file.path, problem, why="the file is truncated", hint=_AGAIN)
    return Source(number, name, dtype, tuple(shape), data_start + start, stop - start)


def _problem(dtype: object, shape: Any, offsets: Any) -> str:
    """What is wrong with a tensor's entry, if anything."""
    if not isinstance(dtype, str) or dtype not in BITS:
        return f"has the unknown dtype {_short(repr(dtype))}"
    if not _counts(shape) or len(shape) > MAX_DIMENSIONS:
        return f"has the impossible shape {_short(shape)}"
    if not _counts(offsets) or len(offsets) != 2 or offsets[1] < offsets[0]:
        return f"has the impossible offsets {_short(offsets)}"
    bits = BITS[dtype]
    for length in shape:
        bits *= length
        if bits >> 66:
            return f"has the overflowing shape {_short(shape)}"
    if bits != 8 * (offsets[1] - offsets[0]):
        return f"of {dtype} {_short(shape)} cannot have {offsets[1] - offsets[0]} bytes"
    return ""


def _counts(value: object) -> bool:
    """Whether a JSON value is a list of whole numbers of 64 bits; true and false are none."""
    if type(value) is not list:
        return False
    for number in value:  # noqa: SIM110 - a loop is faster, and this is asked twice a tensor
        if type(number) is not int or not 0 <= number < 1 << 64:
            return False
    return True


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 80 else text[:80] + "…"


def _check_tiling(file: SourceFile, sources: list[Source], data_start: int) -> None:
    """Tensors follow one another without overlap, hole or rest."""
    end = data_start
    for source in sources:
        if source.start != end:
            problem = "overlaps another" if source.start < end else "leaves a hole before it"
            raise CorruptCheckpointError(file.path, f"tensor {source.name!r} {problem}")
        end = source.start + source.size
    if end != file.size:
        raise CorruptCheckpointError(
            file.path, f"has {file.size - end:,} bytes after its last tensor"
        )


def read_scalars(file: SourceFile, sources: dict[str, Source]) -> dict[str, tuple[float, ...]]:
    """The values of tensors of at most eight elements and one dimension, of a file far away of some."""
    small = _scalars(sources)
    if len(small) > MAX_SCALARS:
        raise CorruptCheckpointError(file.path, f"holds more than {MAX_SCALARS:,} scalars")
    near = file.near((source.start, source.size) for source in small)
    return {
        source.name: _decoded(source.dtype, file.read(source.start, source.size))
        for source, is_near in zip(small, near, strict=True)
        if is_near
    }


def unread_scalars(
    sources: dict[str, Source], scalars: dict[str, tuple[float, ...]]
) -> frozenset[str]:
    """Names of those that `read_scalars` left out: they are too far away."""
    return frozenset(source.name for source in _scalars(sources)).difference(scalars)


def _scalars(sources: dict[str, Source]) -> list[Source]:
    return [
        source
        for source in sources.values()
        if source.dtype in _DECODERS and len(source.shape) <= 1 and sum(source.shape) <= 8
    ]


def _decoded(dtype: str, data: bytes) -> tuple[float, ...]:
    width = BITS[dtype] // 8
    return tuple(_decode(dtype, data[at : at + width]) for at in range(0, len(data), width))


def _decode(dtype: str, data: bytes) -> float:
    code = _DECODERS[dtype]
    if dtype == "BF16":
        data = b"\0\0" + data
    elif dtype == "F8_E5M2":
        data = b"\0" + data
    elif dtype == "F8_E4M3":
        return _float8(data[0])
    value: float = struct.unpack(code, data)[0]
    return float(value)


def _float8(byte: int) -> float:
    """E4M3 without infinities (OCP 8-bit floating point, revision 1.0)."""
    sign = -1.0 if byte & 0x80 else 1.0
    exponent, mantissa = byte >> 3 & 15, byte & 7
    if exponent == 15 and mantissa == 7:
        return float("nan")
    return sign * (mantissa * 2.0**-9 if exponent == 0 else (8 + mantissa) * 2.0 ** (exponent - 10))


_DECODERS = {
    "F64": "<d",
    "F32": "<f",
    "F16": "<e",
    "BF16": "<f",
    "F8_E5M2": "<e",
    "F8_E4M3": "",
    "I64": "<q",
    "I32": "<i",
    "I16": "<h",
    "I8": "<b",
    "U64": "<Q",
    "U32": "<I",
    "U16": "<H",
    "U8": "<B",
}
