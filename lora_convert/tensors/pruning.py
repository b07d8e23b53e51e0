"""Changes thinned out and brought to one: what TIES and DARE do to whole ΔWs, in float64.

TIES: of each change the largest elements are kept, of each element the sign that has more weight
behind it is elected, and those that have it are averaged (arXiv 2306.01708). DARE: elements are
dropped at random and the rest made larger by as much (arXiv 2311.03099).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.tensors.approximations import Dropped
from lora_convert.tensors.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_convert.tensors.approximations import Elected
    from lora_convert.tensors.evaluate import Array, Read
    from lora_convert.tensors.expr import Expr, Shape


def pruned(expr: Elected | Dropped, read: Read) -> Array:
    """The tensor that an expression of TIES or DARE stands for."""
    if isinstance(expr, Dropped):
        return _dropped(expr, read)
    kept = (_largest(_values(part, read), expr.density) for part in expr.parts)
    return _mean_of_the_elected(kept, expr.shape)


def _values(of: Expr, read: Read) -> Array:
    return evaluate(of, read).astype("float64")


def _dropped(expr: Dropped, read: Read) -> Array:
    import numpy

    kept = numpy.random.default_rng(expr.seed).random(expr.shape) < expr.density
    values = _values(expr.of, read)
    values *= kept
    values /= expr.density
    return values


def _largest(values: Array, density: float) -> Array:
    """`values` with all but the largest zeroed."""
    import numpy

    kept = int(density * values.size)
    if kept < values.size:
        order = numpy.argpartition(numpy.abs(values), values.size - kept, axis=None)
        values.flat[order[: values.size - kept]] = 0.0
    return values


def _mean_of_the_elected(parts: Iterable[Array], shape: Shape) -> Array:
    """Positive and negative elements summed apart: whichever side is larger is taken, over its number."""
    import numpy

    sums = {sign: numpy.zeros(shape) for sign in (1, -1)}
    counts = {sign: numpy.zeros(shape, "int32") for sign in (1, -1)}
    for values in parts:
        for sign in sums:
            side = values * sign > 0
            sums[sign] += values * side
            counts[sign] += side
    positive = sums[1] + sums[-1] >= 0
    total = numpy.where(positive, sums[1], sums[-1])
    return total / numpy.maximum(numpy.where(positive, counts[1], counts[-1]), 1)
