"""The dtypes of safetensors 0.8, by the names its headers use."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Bits per element."""

NUMPY_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
"""Names in numpy and ml_dtypes of what can be computed with; packed sub-byte types are carried only."""

FLOATS = frozenset(
    {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}
)
"""Dtypes that a LoRA factor can have."""

SHORT_NAMES = {"keep": None, "fp32": "F32", "fp16": "F16", "bf16": "BF16"}
"""What users type for ``--dtype``."""

_EXACT_IN = {
    "F64": {"F64"},
    "F32": {"F32", "F64"},
    "F16": {"F16", "F32", "F64"},
    "BF16": {"BF16", "F32", "F64"},
}


def byte_count(dtype: str, shape: Iterable[int]) -> int:
    """Bytes of a packed tensor; a trailing part of a byte counts as one."""
    return -(-BITS[dtype] * prod(shape) // 8)


def holds_exactly(dtype: str, wider: str) -> bool:
    """Whether every value of `dtype` has an equal in `wider`."""
    if dtype.startswith("F8"):
        return wider in {dtype, "F16", "BF16", "F32", "F64"} and dtype != "F8_E8M0"
    return dtype == wider or wider in _EXACT_IN.get(dtype, ())


def common(dtypes: Iterable[str]) -> str:
    """The narrowest float dtype that holds all of `dtypes` exactly."""
    distinct = set(dtypes)
    for candidate in (*sorted(distinct, key=BITS.__getitem__), "F32", "F64"):
        if all(holds_exactly(dtype, candidate) for dtype in distinct):
            return candidate
    return "F64"
