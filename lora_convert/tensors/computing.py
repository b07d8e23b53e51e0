"""Arithmetic of expressions with numpy, in the dtype that each one has."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lora_convert.tensors import arithmetic as a
from lora_convert.tensors.approximations import Cut, Dropped, Elected, Spanned
from lora_convert.tensors.turning import Turned

if TYPE_CHECKING:
    import numpy

    from lora_convert.tensors.evaluate import Array, Read
    from lora_convert.tensors.expr import Expr


def computed(expr: Expr, read: Read) -> Array:
    """The tensor that an expression of ``tensors.arithmetic`` stands for; `read` gives bytes of files."""
    import numpy

    from lora_convert.tensors.evaluate import evaluate, numpy_dtype

    exact = numpy_dtype(expr.dtype)
    values = partial(evaluate, read=read)

    def operand(of: Expr) -> Array:
        return values(of).astype(exact, copy=False)

    match expr:
        case a.Product(up, down, factor):
            change = operand(up).reshape(up.shape[0], -1) @ operand(down).reshape(down.shape[0], -1)
            change *= exact.type(factor)
            return numpy.asarray(change).reshape(expr.shape)
        case a.Sum(first, second):
            added = operand(second)
            total = added if added.flags.writeable else added.copy()  # what was computed is ours
            total += operand(first)
            return total
        case a.Hadamard(first, second):
            return numpy.asarray(operand(first) * operand(second))
        case a.Kronecker(outer, inner):
            return numpy.asarray(numpy.kron(operand(outer), operand(inner)))
        case a.Mixed(of, matrix):
            mixed = numpy.tensordot(operand(of), operand(matrix), (1, 0))
            return numpy.moveaxis(mixed, -1, 1)
        case a.Contracted(mid, down):
            flat = operand(down).reshape(down.shape[0], -1)
            return numpy.asarray(numpy.einsum("rqhw,qi->rihw", operand(mid), flat, optimize=False))
        case a.Transposed(of):
            return values(of).T
        case a.Shifted(of, by):
            return numpy.asarray(operand(of) + exact.type(by))
        case a.Gained(of, gains):
            rows = (-1, *(1,) * (len(of.shape) - 1))
            by_each = operand(gains)
            return numpy.asarray(operand(of) * (by_each.reshape(rows) if expr.by_row else by_each))
        case a.Directed(of, magnitude):
            return _directed(values(of), values(magnitude), exact)
        case a.Embedded(of, shape):
            whole = numpy.zeros(shape, exact)
            whole[tuple(map(slice, of.shape))] = values(of)
            return whole
        case Turned(of, turns, rotation):
            from lora_convert.tensors.rotations import turned

            return turned(values(of), values(turns), rotation).astype(exact, copy=False)
        case Cut():
            from lora_convert.tensors.cutting import factor_of

            return factor_of(expr, read).astype(exact, copy=False)
        case Spanned(of, columns):
            whole = values(of).astype(exact, copy=False)
            basis = numpy.linalg.qr(whole[:, :columns])[0]
            return numpy.asarray(basis @ (basis.T @ whole))
        case Elected() | Dropped():
            from lora_convert.tensors.pruning import pruned

            return pruned(expr, read).astype(exact, copy=False)
        case _:
            raise TypeError(f"{type(expr).__name__} is no arithmetic")


def _directed(values: Array, magnitude: Array, dtype: numpy.dtype[Any]) -> Array:
    import numpy

    by_row = magnitude.ndim == 1
    axes = tuple(axis for axis in range(values.ndim) if axis != (0 if by_row else 1))
    norms = numpy.sqrt(numpy.square(values, dtype="float64").sum(axes, keepdims=True))
    lengths = magnitude.reshape(-1, *(1,) * (values.ndim - 1)) if by_row else magnitude
    return numpy.asarray((lengths / norms).astype(dtype) * values.astype(dtype))
