"""Orthogonal matrices from their parameters, and weights turned by them, in float64.

kohya and LyCORIS turn W's rows: Q = B − Bᵀ, R = (I + Q)·(I − Q)⁻¹ for each block, and rows become
Rᵀ·W for OFT (sd-scripts networks/oft.py; LyCORIS functional/diag_oft.py), R·W for each stage of
BOFT (LyCORIS modules/boft.py, ``_bypass_forward``). The norm of all Q together is limited where
there is a constraint. LyCORIS before 2.0 kept R itself, or R − I, as ``oft_diag``
(modules/diag_oft.py of both times); the two are told apart by which of R and I + R is nearer to a
turn.

PEFT turns W's columns: rows become W·Rᵀ, with Q from its upper triangle, R = (I − Q)·(I + Q)⁻¹ or
a few terms of the series of (I + Q)·(I − Q)⁻¹ for OFT (peft 0.21, tuners/oft/layer.py), and with
Q = (B − Bᵀ)/2 for BOFT (tuners/boft/layer.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.tensors.turning import block_size

if TYPE_CHECKING:
    from lora_convert.tensors.evaluate import Array
    from lora_convert.tensors.turning import Rotation


def turned(weight: Array, turns: Array, rotation: Rotation) -> Array:
    """`weight` (O, I, …) with its rows or columns turned, in float64."""
    values = weight.astype("float64")
    flat = values.reshape(values.shape[0], -1)
    parameters = turns.astype("float64")
    if rotation.kind in {"blocks", "diag"}:
        blocks = _weakened(_row_blocks(parameters, rotation), rotation.strength)
        flat = _by_blocks(flat, blocks.swapaxes(-1, -2))
    elif rotation.kind == "butterfly":
        for stage, blocks in enumerate(_cayley(_limited(_skew(parameters), rotation.limit))):
            order = _butterfly_rows(flat.shape[0], blocks.shape[-1], stage)
            mixed = _by_blocks(flat[order], _weakened(blocks, rotation.strength))
            flat[order] = mixed
    elif rotation.kind == "vectors":
        blocks = _weakened(_column_blocks(parameters, rotation), rotation.strength)
        flat = _by_blocks(flat.T, blocks).T
    else:
        columns = flat.T.copy()
        for stage, blocks in enumerate(_cayley(-_skew(parameters) / 2)):
            order = _butterfly_columns(columns.shape[0], parameters.shape, stage)
            part = _weakened(blocks, rotation.strength)
            columns[order] = _by_blocks(columns[order], part)
        flat = columns.T
    return flat.reshape(weight.shape)


def _skew(blocks: Array) -> Array:
    return blocks - blocks.swapaxes(-1, -2)


def _limited(skew: Array, limit: float) -> Array:
    """Parameters brought to a norm, all together."""
    import numpy

    norm = float(numpy.linalg.norm(skew))
    return skew * (limit / norm) if 0 < limit < norm else skew


def _cayley(skew: Array) -> Array:
    """(I + Q)·(I − Q)⁻¹, block by block."""
    import numpy

    unit = numpy.eye(skew.shape[-1])
    # the two factors commute
    return numpy.asarray(numpy.linalg.solve(unit - skew, unit + skew))


def _weakened(blocks: Array, strength: float) -> Array:
    """Part of the way from no turn."""
    import numpy

    if strength == 1.0:
        return blocks
    return blocks * strength + (1 - strength) * numpy.eye(blocks.shape[-1])


def _row_blocks(parameters: Array, rotation: Rotation) -> Array:
    import numpy

    if rotation.kind == "blocks":
        return _cayley(_limited(_skew(parameters), rotation.limit))
    unit = numpy.eye(parameters.shape[-1])

    def crooked(blocks: Array) -> float:
        return float(numpy.linalg.norm(blocks.swapaxes(-1, -2) @ blocks - unit))

    shifted = parameters + unit
    return parameters if crooked(parameters) < crooked(shifted) else shifted


def _column_blocks(parameters: Array, rotation: Rotation) -> Array:
    import numpy

    size = block_size(parameters.shape[1])
    if rotation.limit:  # each block has a norm of its own (tuners/oft/layer.py, _project_batch)
        limit = rotation.limit / parameters.shape[0] ** 0.5
        # of the skew-symmetric matrix, in which each element stands twice
        norms = numpy.linalg.norm(parameters, axis=1, keepdims=True) * 2**0.5
        parameters = numpy.where(norms <= limit, parameters, parameters * (limit / norms))
    skew = numpy.zeros((parameters.shape[0], size, size))
    skew[:, *numpy.triu_indices(size, 1)] = parameters
    skew = _skew(skew)
    return _series(skew, rotation.neumann) if rotation.neumann else _cayley(-skew)


def _series(skew: Array, terms: int) -> Array:
    """I + 2Q + 2Q² + … of which the last term counts once, as PEFT adds them up."""
    import numpy

    total = numpy.broadcast_to(numpy.eye(skew.shape[-1]), skew.shape).copy()
    if terms > 1:
        total += 2 * skew
    if terms > 2:
        power = skew @ skew
        total += 2 * power
        for _ in range(3, terms - 1):
            power = power @ skew
            total += 2 * power
        total += power @ skew
    return total


def _by_blocks(rows: Array, blocks: Array) -> Array:
    """Each block times the rows that belong to it; one block is for all where there is only one."""
    import numpy

    size = blocks.shape[-1]
    parted = rows.reshape(-1, size, rows.shape[1])
    return numpy.asarray((blocks @ parted).reshape(rows.shape))


def _butterfly_rows(height: int, size: int, stage: int) -> Array:
    """The rows that LyCORIS puts side by side at a stage: (c g k) read as (c k g)."""
    import numpy

    order = numpy.arange(height).reshape(-1, 2, 2**stage * (size // 2))
    return numpy.asarray(order.swapaxes(1, 2).ravel())


def _butterfly_columns(width: int, shape: tuple[int, ...], stage: int) -> Array:
    """The columns that PEFT puts side by side at a stage: even and odd half blocks of each group."""
    import numpy

    stages, count, size = shape[0], shape[1], shape[2]
    if stages == 1:
        return numpy.arange(width)
    half = size // 2
    group = width // max(int(count / 2**stage), 1)
    steps = numpy.arange(group // half)
    steps = numpy.concatenate([steps[::2], steps[1::2]])
    within = (steps[:, None] * half + numpy.arange(half)).ravel()
    # rows of P are sorted: P·B·Pᵀ acts on the columns that its inverse puts side by side
    order = (numpy.arange(0, width, group)[:, None] + within).ravel()
    return numpy.asarray(numpy.argsort(order))
