"""The largest eigenvalues of a symmetric matrix, and their vectors, in float64.

A few of many are found in a Krylov space that grows by a block of vectors at a time, until what is
left of the equation ``G·x = λ·x`` is nothing beside the eigenvalues that are left away: as exact as
LAPACK's decomposition of all, of which it takes a tenth of the time (block Lanczos with full
reorthogonalisation; Golub and Van Loan, Matrix Computations, 10.3.6). Where there is no gap to work
with, all are computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_convert.tensors.evaluate import Array

_BLOCK = 16
"""Vectors that the space grows by."""
_SMALL = 256
"""Rows up to which all eigenvectors take no longer."""
_FEW = 0.1
"""Share of all eigenvectors beyond which all take no longer."""
_MOST = 0.35
"""Share of all dimensions at which the space is given up."""
_LEFT = 1e-6
"""What is left of the equations, over the sum of the eigenvalues that are left away."""
_ROUNDING = 1e-13
"""The same over the largest eigenvalue: nothing but rounding."""
_CLOSED = 1e-10
"""What leads out of the space, over the largest eigenvalue, where nothing does."""
_GROWTH = 1.2
"""How much larger the space is when it is looked at again."""


def largest(gram: Array, count: int) -> tuple[Array, Array]:
    """The `count` largest eigenvalues, falling, and their vectors (n, count)."""
    import numpy

    height = len(gram)
    if height > _SMALL and count <= height * _FEW:
        found = _in_krylov_space(gram, count)
        if found is not None:
            return found
    values, vectors = numpy.linalg.eigh(gram)
    return values[::-1][:count], vectors[:, ::-1][:, :count]


def _in_krylov_space(gram: Array, count: int) -> tuple[Array, Array] | None:
    """The same; None where the space would have to be too large."""
    import numpy

    height, most, trace = len(gram), int(len(gram) * _MOST), float(numpy.trace(gram))
    basis = numpy.empty((height, most + _BLOCK), order="F")
    inner = numpy.zeros((most + _BLOCK, most + _BLOCK))  # the matrix, in that basis
    drawn = numpy.random.default_rng(0).standard_normal((height, _BLOCK))
    block = numpy.linalg.qr(drawn)[0]
    size, looked_at = 0, count
    while size < most:
        last, size = size, size + _BLOCK
        basis[:, last:size] = block
        space, image = basis[:, :size], gram @ block
        part = space.T @ image
        inner[:size, last:size], inner[last:size, :size] = part, part.T
        block, first = numpy.linalg.qr(image - space @ part)
        block, second = numpy.linalg.qr(block - space @ (space.T @ block))
        if size < looked_at * _GROWTH:
            continue
        looked_at = size
        values, vectors = numpy.linalg.eigh(inner[:size, :size])
        values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
        missing = max(trace - values.sum(), 0.0)
        left = numpy.linalg.norm(second @ (first @ vectors[last:size]), axis=0).sum()
        if left <= max(_LEFT * missing, _ROUNDING * count * values[0]):
            closed = numpy.linalg.norm(first) <= _CLOSED * values[0]
            if closed and trace - numpy.trace(inner[:size, :size]) > _CLOSED * trace:
                return None  # an eigenvalue may stand there more often than a block has vectors
            return values, space @ vectors
    return None
