"""The values that stand for what a pickle would make: plain ones, views of storages, inert records.

Rules for tensors follow torch 2.13, torch/_utils.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias


class Named(NamedTuple):
    """A name that the pickle mentioned, with its module."""

    path: str


class Record:
    """An object that was not made: what it would have been made of."""

    __slots__ = ("arguments", "path", "state")

    def __init__(self, path: str, arguments: tuple[Any, ...]) -> None:
        self.path = path
        self.arguments = arguments
        self.state: Any = None

    def __str__(self) -> str:
        """What it would have been: the same in every run."""
        return f"<{self.path}>"


class Storage(NamedTuple):
    """Elements that lie in an entry of their own."""

    key: str
    dtype: str
    length: int
    """Elements."""


class Tensor(NamedTuple):
    """A view of a storage, in elements. Nothing of it has been checked."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


LIMIT = 1 << 63
"""Of lengths, strides and places."""
_MOST_BITS = 128
"""Of a number that is a key."""


class MalformedError(Exception):
    """The pickle is not one that torch writes."""


STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "ComplexFloatStorage": "C64",
    "ComplexDoubleStorage": "C128",
    "UntypedStorage": "U8",
}
"""Class to dtype, by the names of safetensors, or by one of its kind in `UNNAMED`."""

DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "bool": "BOOL",
    "complex64": "C64",
    "complex128": "C128",
    "complex32": "C32",
    "float4_e2m1fn_x2": "F4X2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
}

UNNAMED = {"C128": 128, "C32": 32, "F4X2": 8}
"""Bits of an element of what safetensors has no name for."""

Rule: TypeAlias = Callable[..., Any]


def tensor(
    storage: Storage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: object = None,
    hooks: object = None,
    metadata: Mapping[str, object] | None = None,
) -> Tensor:
    """A view in its storage's dtype."""
    return _view(storage, storage.dtype, (offset, shape, strides), metadata)


def tensor_of_dtype(
    storage: Storage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: object,
    hooks: object,
    dtype: Named,
    metadata: Mapping[str, object] | None = None,
) -> Tensor:
    """A view in a dtype that has no storage class."""
    known = DTYPES.get(dtype.path.removeprefix("torch."))
    if known is None:
        raise MalformedError(f"a tensor has the dtype {dtype.path[:80]}")
    return _view(storage, known, (offset, shape, strides), metadata)


def _view(
    storage: Storage,
    dtype: str,
    place: tuple[int, tuple[int, ...], tuple[int, ...]],
    metadata: Mapping[str, object] | None,
) -> Tensor:
    offset, shape, strides = place
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and 0 <= n < LIMIT for n in numbers):
        raise MalformedError("a tensor has an impossible shape or strides")
    if metadata and any(metadata.values()):
        raise MalformedError("a tensor is to be conjugated or negated when it is read")
    if not isinstance(storage, Storage):
        raise MalformedError("a tensor has no storage")
    return Tensor(storage, dtype, offset, tuple(shape), tuple(strides))


def parameter(data: Tensor, requires_grad: object, hooks: object, state: object = None) -> Tensor:
    """A parameter is its tensor."""
    return data


def number(dtype: Record, data: object = b"") -> Any:
    """A numpy scalar; an inert record where it is none that Python has."""
    kind = dtype.arguments[0] if dtype.arguments else ""
    order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "<"
    code = _NUMPY_CODES.get(kind)
    if code is None or not isinstance(data, bytes):
        return Record("numpy.scalar", (dtype, data))
    return struct.unpack((">" if order == ">" else "<") + code, data)[0]


def text_as_bytes(text: str, encoding: str) -> bytes:
    """Bytes that protocol 2 writes as text."""
    if encoding not in {"latin1", "latin-1", "iso-8859-1"}:
        raise MalformedError("bytes are written as text of an unknown encoding")
    return text.encode("latin1")


def key_of(value: object) -> object:
    """What stands for a key: numbers as their text, as in JSON, and anything but texts as a record.

    The hash of what stays cannot be chosen to collide, and costs little.
    """
    if type(value) is float or (type(value) is int and value.bit_length() <= _MOST_BITS):
        return str(value)
    return value if type(value) in {str, bytes, bool, type(None)} else Record("key", (value,))


def mapping(items: Any = ()) -> dict[Any, Any]:
    """A dict of a dict or of pairs."""
    return items if isinstance(items, dict) else {key_of(key): value for key, value in items}


def defaults(factory: object = None, items: Any = ()) -> dict[Any, Any]:
    """A defaultdict is a dict."""
    return mapping(items)


def items_of(items: Any = ()) -> list[Any]:
    """A list stands for every kind of collection."""
    if not isinstance(items, (list, tuple)):
        raise MalformedError("a container is made of something else than a list")
    return items if isinstance(items, list) else list(items)


def inert(path: str) -> Rule:
    """The rule of an object that is not made."""
    return lambda *arguments: Record(path, arguments)


def member(path: str) -> Rule:
    """An enumeration's member stands for its value."""
    return lambda value="": value


_NUMPY_CODES = {
    "f2": "e", "f4": "f", "f8": "d", "b1": "?",
    "i1": "b", "i2": "h", "i4": "i", "i8": "q",
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
}  # fmt: skip
