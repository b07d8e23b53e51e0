"""The low-rank matrix nearest to another: its singular vectors, by way of the smaller of two Gram matrices.

Singular values below some 1e-8 of the largest are lost by squaring, far below what fp16 and bf16 can
hold. Where the matrix is a product, it is never built: what is left to decompose has the size of its
rank. A Kronecker product is decomposed as its two factors are, which are small; a Hadamard product of
two products is a product itself, of both ranks together.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod, sqrt
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.tensors.arithmetic import Hadamard, Kronecker, Product
from lora_convert.tensors.build import reshaped, rows
from lora_convert.tensors.eigenvectors import largest
from lora_convert.tensors.evaluate import evaluate
from lora_convert.tensors.expr import Cast, Reshaped, Times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.tensors.approximations import Cut
    from lora_convert.tensors.evaluate import Array, Read
    from lora_convert.tensors.expr import Expr

_BLOCK = 1 << 21
"""Elements of the matrix computed at a time."""
_ROUNDING = 1e-12
"""Share of the squared norm of which a difference of squares in fp32 says nothing."""
_MORE, _TURNS = 16, 4
"""Columns beyond the rank, and power iterations, of a sampled decomposition."""


class Decomposed(NamedTuple):
    """Left vectors (O, n), singular values (n), falling, and right vectors (n, I), in float64."""

    left: Array
    values: Array
    right: Array
    norm: float
    """Frobenius norm of the whole matrix."""

    def first(self, rank: int) -> Decomposed:
        """The largest values and their vectors."""
        return Decomposed(self.left[:, :rank], self.values[:rank], self.right[:rank], self.norm)


def factor_of(cut: Cut, read: Read) -> Array:
    """One factor of the nearest matrix of a rank: the roots of singular values are in both."""
    import numpy

    found = _nearest(cut.of, cut.rank, cut.seed, read)
    _remainder(cut.of, cut.rank, cut.seed, read)  # while it costs nothing
    roots = numpy.sqrt(found.values)
    lacking = cut.rank - len(roots)  # a matrix may have less rank than is asked for
    if cut.side == "up":
        return numpy.pad(found.left * roots, ((0, 0), (0, lacking)))
    return numpy.pad(roots[:, None] * found.right, ((0, lacking), (0, 0)))


def remainder(cut: Cut, read: Read) -> float:
    """‖of − up · down‖ / ‖of‖, zero where it is rounding alone.

    It is known without computing anything where a factor was computed before.
    """
    return _remainder(cut.of, cut.rank, cut.seed, read)


@lru_cache(maxsize=1 << 14)
def _remainder(of: Expr, rank: int, seed: int | None, read: Read) -> float:
    import numpy

    found = _nearest(of, rank, seed, read)
    whole = found.norm**2
    missing = whole - float(numpy.square(found.values).sum())
    return sqrt(missing / whole) if missing > _ROUNDING * whole else 0.0


def singular_values(of: Expr, read: Read) -> Array:
    """All of a matrix's that can be other than zero, falling, in float64."""
    import numpy

    match of:
        case Cast(inner, "F64") if not isinstance(inner, Product):
            return singular_values(inner, read)
        case Reshaped(inner, shape) if inner.shape[0] == shape[0]:
            return singular_values(inner, read)
        case Times(inner, factor):
            return singular_values(inner, read) * abs(factor)
        case Kronecker(outer, inner):
            both = (singular_values(part, read) for part in (outer, inner))
            return -numpy.sort(-numpy.multiply.outer(*both), axis=None)
        case Hadamard(Product() as first, Product() as second) if _is_low(first, second):
            return _values_of_product(*_product_of(first, second, read))
        case Product(up, down, factor):
            return _values_of_product(_matrix(up, read) * factor, _matrix(down, read))
        case _:
            squares = numpy.linalg.eigvalsh(_Matrix(of, read).gram())[::-1]
            return numpy.sqrt(numpy.maximum(squares, 0.0))


def _values_of_product(up: Array, down: Array) -> Array:
    import numpy

    left, right = (numpy.asarray(numpy.linalg.qr(side, mode="r")) for side in (up, down.T))
    return numpy.asarray(numpy.linalg.svd(left @ right.T, compute_uv=False))


@lru_cache(maxsize=4)
def _nearest(of: Expr, rank: int, seed: int | None, read: Read) -> Decomposed:
    """Kept for a while: the factors of a module, and parts of them, are written one after the other."""
    return _decomposed(of, rank, seed, read).first(rank)


def _decomposed(of: Expr, rank: int, seed: int | None, read: Read) -> Decomposed:
    """At least the `rank` largest singular values, where there are so many."""
    match of:
        case Cast(inner, "F64") if not isinstance(inner, Product):
            return _decomposed(inner, rank, seed, read)
        case Reshaped(inner, shape) if inner.shape[0] == shape[0]:
            return _decomposed(inner, rank, seed, read)
        case Times(inner, factor):
            found = _decomposed(inner, rank, seed, read)
            times, sign = abs(factor), -1.0 if factor < 0 else 1.0
            values = found.values * times
            return Decomposed(found.left * sign, values, found.right, found.norm * times)
        case Kronecker(outer, inner):
            one, other = (_decomposed(part, rank, seed, read) for part in (outer, inner))
            return _of_kronecker(one, other, rank)
        case Hadamard(Product() as first, Product() as second) if _is_low(first, second):
            return _of_product(*_product_of(first, second, read))
        case Product(up, down, factor):
            return _of_product(_matrix(up, read) * factor, _matrix(down, read))
        case _:
            matrix = _Matrix(of, read)
            return _of_matrix(matrix, rank) if seed is None else _sampled(matrix, rank, seed)


def _matrix(of: Expr, read: Read) -> Array:
    values = evaluate(of, read).astype("float64")
    return values.reshape(values.shape[0], -1)


def _of_product(up: Array, down: Array) -> Decomposed:
    """By QR of both factors: what is left to decompose has the size of the rank."""
    import numpy

    left, upper = numpy.linalg.qr(up)
    right, lower = numpy.linalg.qr(down.T)
    inner_left, values, inner_right = numpy.linalg.svd(upper @ lower.T, full_matrices=False)
    norm = float(numpy.linalg.norm(values))
    return Decomposed(left @ inner_left, values, inner_right @ right.T, norm)


def _is_low(one: Product, other: Product) -> bool:
    """Whether the ranks of two products together are below what their shape allows."""
    return one.up.shape[1] * other.up.shape[1] < min(one.shape[0], prod(one.shape[1:]))


def _product_of(one: Product, other: Product, read: Read) -> tuple[Array, Array]:
    """Up and down of an element-by-element product of two products: of every pair of their ranks."""
    import numpy

    ups = [_matrix(one.up, read) * one.factor, _matrix(other.up, read) * other.factor]
    downs = [_matrix(one.down, read), _matrix(other.down, read)]
    up = numpy.einsum("op,oq->opq", *ups).reshape(ups[0].shape[0], -1)
    down = numpy.einsum("pi,qi->pqi", *downs).reshape(-1, downs[0].shape[1])
    return up, down


def _of_kronecker(outer: Decomposed, inner: Decomposed, rank: int) -> Decomposed:
    """Singular values are all products of one of each, vectors likewise."""
    import numpy

    products = numpy.multiply.outer(outer.values, inner.values)
    order = numpy.argsort(-products, axis=None, kind="stable")[:rank]
    first, second = numpy.unravel_index(order, products.shape)
    left = numpy.einsum("an,bn->abn", outer.left[:, first], inner.left[:, second])
    right = numpy.einsum("nc,nd->ncd", outer.right[first], inner.right[second])
    values = products.ravel()[order]
    norm = outer.norm * inner.norm
    return Decomposed(left.reshape(-1, len(order)), values, right.reshape(len(order), -1), norm)


class _Matrix:
    """A matrix that is computed a block of rows at a time, in float64."""

    def __init__(self, of: Expr, read: Read) -> None:
        self.height, self.width = of.shape[0], prod(of.shape[1:])
        self._of = reshaped(of, (self.height, self.width))
        self._read = read

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Rows, and what stands in them."""
        step = max(1, _BLOCK // self.width)
        for start in range(0, self.height, step):
            stop = min(start + step, self.height)
            part = evaluate(rows(self._of, start, stop), self._read)
            yield slice(start, stop), part.astype("float64")

    def gram(self) -> Array:
        """The smaller of both Gram matrices."""
        import numpy

        if self.height < self.width:
            whole = numpy.concatenate([block for _, block in self.blocks()])
            return numpy.asarray(whole @ whole.T)
        total = numpy.zeros((self.width, self.width))
        for _, block in self.blocks():
            total += block.T @ block
        return total


def _of_matrix(matrix: _Matrix, rank: int) -> Decomposed:
    """By the eigenvectors of the smaller Gram matrix."""
    import numpy

    if matrix.height < matrix.width:
        whole = numpy.concatenate([block for _, block in matrix.blocks()])
        gram = whole @ whole.T
        values, vectors = _roots(gram, rank)
        right = _over(vectors.T @ whole, values[:, None])
        return Decomposed(vectors, values, right, sqrt(numpy.trace(gram)))
    gram = matrix.gram()
    values, vectors = _roots(gram, rank)
    left = numpy.concatenate([block @ vectors for _, block in matrix.blocks()])
    return Decomposed(_over(left, values), values, vectors.T, sqrt(numpy.trace(gram)))


def _sampled(matrix: _Matrix, rank: int, seed: int) -> Decomposed:
    """By a few products with random vectors, in fp32: Halko, Martinsson and Tropp (arXiv 0909.4061)."""
    import numpy

    whole = numpy.empty((matrix.height, matrix.width), "float32")
    for place, block in matrix.blocks():
        whole[place] = block
    count = min(rank + _MORE, *whole.shape)
    drawn = numpy.random.default_rng(seed).standard_normal((matrix.width, count), "float32")
    basis = numpy.linalg.qr(whole @ drawn)[0]
    for _ in range(_TURNS):
        basis = numpy.linalg.qr(whole @ numpy.linalg.qr(whole.T @ basis)[0])[0]
    inner, values, right = numpy.linalg.svd(basis.T @ whole, full_matrices=False)
    left, values, right = (part.astype("float64") for part in (basis @ inner, values, right))
    return Decomposed(left, values, right, float(numpy.linalg.norm(whole)))


def _roots(gram: Array, rank: int) -> tuple[Array, Array]:
    """Roots of the largest eigenvalues, falling, and the vectors they belong to."""
    import numpy

    values, vectors = largest(gram, rank)
    return numpy.sqrt(numpy.maximum(values, 0.0)), vectors


def _over(vectors: Array, values: Array) -> Array:
    """Vectors brought to length one; of values that are zero they stay zero."""
    import numpy

    return numpy.divide(vectors, values, out=numpy.zeros_like(vectors), where=values > 0)
