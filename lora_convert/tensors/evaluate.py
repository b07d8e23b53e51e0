"""Expressions computed with numpy. numpy is imported here, inside the functions, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from lora_convert.errors import NotExpressibleError
from lora_convert.tensors.approximations import Cut, Dropped, Elected, Spanned
from lora_convert.tensors.arithmetic import (
    Directed,
    Embedded,
    Gained,
    Hadamard,
    Mixed,
    Shifted,
    Sum,
)
from lora_convert.tensors.build import rows
from lora_convert.tensors.dtypes import BITS, NUMPY_NAMES
from lora_convert.tensors.expr import (
    Cast,
    Columns,
    Expr,
    Held,
    Padded,
    Reshaped,
    Rows,
    Scalar,
    Stack,
    Times,
    Zeros,
)
from lora_convert.tensors.ranges import Range, pieces
from lora_convert.tensors.source import Source, Strided
from lora_convert.tensors.turning import Turned

if TYPE_CHECKING:
    import numpy

    Array: TypeAlias = numpy.ndarray[Any, numpy.dtype[Any]]

Read: TypeAlias = Callable[[Range], bytes]

BLOCK = 1 << 22
"""Bytes of an output computed at a time."""


def numpy_dtype(dtype: str) -> numpy.dtype[Any]:
    """The numpy dtype of a safetensors dtype."""
    import numpy

    name = NUMPY_NAMES.get(dtype)
    if name is None:
        raise NotExpressibleError(
            f"{dtype} tensors can be copied but not computed with",
            hint="convert without --dtype, to a format that needs no arithmetic",
        )
    if hasattr(numpy, name) or name == "bool":
        return numpy.dtype(name)
    import ml_dtypes

    small: numpy.dtype[Any] = numpy.dtype(getattr(ml_dtypes, name))
    return small


def evaluate(expr: Expr, read: Read) -> Array:
    """The tensor `expr` stands for; `read` gives the bytes of a range."""
    import numpy

    match expr:
        case Source() | Rows(Source(), _, _):
            dtype = numpy_dtype(expr.dtype)
            data = b"".join(read(part) for part in pieces(expr) or () if isinstance(part, Range))
            return numpy.frombuffer(data, dtype).reshape(expr.shape)
        case Held(data, dtype_name, shape):
            return numpy.frombuffer(data, numpy_dtype(dtype_name)).reshape(shape)
        case Rows(inner, start, stop):
            return evaluate(inner, read)[start:stop]
        case Columns(inner, start, stop):
            return evaluate(inner, read)[:, start:stop]
        case Stack(parts):
            return numpy.concatenate([evaluate(part, read) for part in parts])
        case Padded(inner, left, right):
            tail = ((0, 0),) * (len(inner.shape) - 2)
            return numpy.pad(evaluate(inner, read), ((0, 0), (left, right), *tail))
        case Zeros(dtype, shape):
            return numpy.zeros(shape, numpy_dtype(dtype))
        case Times(inner, factor):
            values = evaluate(inner, read).astype(numpy_dtype(expr.dtype))
            return numpy.asarray(values * values.dtype.type(factor))
        case Reshaped(inner, shape):
            return evaluate(inner, read).reshape(shape)
        case Cast(inner, dtype):
            with numpy.errstate(over="ignore"):  # the proof finds it, and says where
                return evaluate(inner, read).astype(numpy_dtype(dtype))
        case Scalar(value, dtype):
            return numpy.array(value, numpy_dtype(dtype))
        case Strided(source, shape, strides):
            flat = evaluate(source, read)
            steps = [stride * flat.itemsize for stride in strides]
            plain = flat.view(f"u{flat.itemsize}")  # numpy cannot step through ml_dtypes' kinds
            turned = numpy.lib.stride_tricks.as_strided(plain, shape, steps, writeable=False)
            return turned.view(flat.dtype)
        case _:
            from lora_convert.tensors.computing import computed

            return computed(expr, read)


def computed_blocks(expr: Expr, read: Read) -> Iterator[bytes]:
    """The bytes of `expr`, in blocks of whole rows of about `BLOCK` bytes."""
    if 0 in expr.shape:  # of any number of rows
        return
    if not expr.shape or _is_whole(expr):  # parts of those need all of it
        yield evaluate(expr, read).tobytes()
        return
    height = expr.shape[0]
    row_bits = BITS[expr.dtype]
    for length in expr.shape[1:]:
        row_bits *= length
    step = max(1, BLOCK * 8 // max(row_bits, 1))
    for start in range(0, height, step):
        yield evaluate(rows(expr, start, min(start + step, height)), read).tobytes()


def _is_whole(expr: Expr) -> bool:
    """Whether rows of an expression cannot be computed without computing the others."""
    match expr:
        case Strided() | Cut() | Embedded() | Elected() | Dropped() | Spanned():
            return True
        case Directed() | Turned() if not expr.by_row:
            return True
        case Cast(inner, _) | Times(inner, _) | Reshaped(inner, _) | Shifted(inner, _):
            return _is_whole(inner)
        case Gained(inner, _) | Directed(inner, _) | Mixed(inner, _) | Turned(inner, _, _):
            return _is_whole(inner)
        case Sum(first, second) | Hadamard(first, second):
            return _is_whole(first) or _is_whole(second)
        case _:
            return False


def held(array: Array) -> Held:
    """An array as an expression."""
    import numpy

    names = {numpy_dtype(name): name for name in NUMPY_NAMES}
    name = names.get(array.dtype)
    if name is None:
        raise NotExpressibleError(
            f"safetensors has no dtype for {array.dtype} arrays",
            hint='cast it first, for example array.astype("float32")',
        )
    return Held(numpy.ascontiguousarray(array).tobytes(), name, tuple(array.shape))
