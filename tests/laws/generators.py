"""Factors of every algorithm for the parts of one module: seeded, tiny, and of the kind that can be fused.

What an algorithm cannot fuse (LoKrs of two second factors, two turns of one module's inputs) is
shared by the parts here, so that the laws hold for every format; what happens without is tested in
tests/algorithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class Part(NamedTuple):
    """One Diffusers module of a native one."""

    tensors: Arrays
    scale: float
    settings: dict[str, float]


class Shape(NamedTuple):
    """Of the parts of one native module."""

    heights: tuple[int, ...]
    unit: int
    """Rows that are moved together."""
    inputs: int
    kernel: tuple[int, ...]
    told_by_size: bool = False
    """Whether its height over its inputs alone tells it from another module of the same name."""


class Drawing(NamedTuple):
    """Where numbers come from."""

    rng: np.random.Generator
    dtype: str
    mixed: bool
    """Whether parts of one module have ranks and scales of their own."""

    def array(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.dtype)

    def exact(self, *shape: int) -> np.ndarray:
        """Numbers near 1 from which 1 can be taken without rounding."""
        return (1 + self.rng.integers(-32, 32, shape) / 64).astype(self.dtype)

    def scale(self) -> float:
        return float(self.rng.choice([0.3, 1.0, 1.7] if self.mixed else [0.5, 1.0, 2.0]))


def _ranks(draw: Drawing, shape: Shape) -> list[tuple[int, float]]:
    """Rank and scale of each part."""
    one = int(draw.rng.integers(1, 4)), draw.scale()
    if not draw.mixed:
        return [one] * len(shape.heights)
    return [(int(draw.rng.integers(1, 5)), draw.scale()) for _ in shape.heights]


def _lora(draw: Drawing, shape: Shape) -> list[Part]:
    tail = (1, 1) if shape.kernel else ()
    return [
        Part(
            {
                "down": draw.array(rank, shape.inputs, *shape.kernel),
                "up": draw.array(height, rank, *tail),
            },
            scale,
            {},
        )
        for height, (rank, scale) in zip(shape.heights, _ranks(draw, shape), strict=True)
    ]


def _dora(draw: Drawing, shape: Shape) -> list[Part]:
    plain = _lora(draw, shape)
    for part, height in zip(plain, shape.heights, strict=True):
        part.tensors["magnitude"] = draw.rng.random(height).astype(draw.dtype)
    return plain


def _loha(draw: Drawing, shape: Shape) -> list[Part]:
    if np.prod(shape.kernel) > 1:
        return _loha_tucker(draw, shape)
    return [
        Part(
            {
                "hada_w1_a": draw.array(height, rank),
                "hada_w1_b": draw.array(rank, shape.inputs),
                "hada_w2_a": draw.array(height, rank),
                "hada_w2_b": draw.array(rank, shape.inputs),
            },
            scale,
            {},
        )
        for height, (rank, scale) in zip(shape.heights, _ranks(draw, shape), strict=True)
    ]


def _loha_tucker(draw: Drawing, shape: Shape) -> list[Part]:
    rank, scale, (height,) = 2, draw.scale(), shape.heights
    sides = {
        f"hada_{name}{n}{letter}": draw.array(*dimensions)
        for n in "12"
        for name, letter, dimensions in (
            ("w", "_a", (rank, height)),
            ("w", "_b", (rank, shape.inputs)),
            ("t", "", (rank, rank, *shape.kernel)),
        )
    }
    return [Part(sides, scale, {})]


def _lokr(draw: Drawing, shape: Shape) -> list[Part]:
    if len({*shape.heights}) > 1:
        return []  # they have no second factor in common that PEFT could hold
    # two rows of blocks, as decompose_factor=2 makes of all modules
    height, width, scale = shape.heights[0] // 2, shape.inputs // 2, draw.scale()
    if draw.rng.random() < 0.5:
        inner = {"lokr_w2": draw.array(height, width, *shape.kernel)}
    else:
        columns = width * math.prod(shape.kernel)
        inner = {"lokr_w2_a": draw.array(height, 1), "lokr_w2_b": draw.array(1, columns)}
    return [Part({"lokr_w1": draw.array(2, 2), **inner}, scale, {}) for _ in shape.heights]


def _oft(draw: Drawing, shape: Shape) -> list[Part]:
    size = math.gcd(4, *shape.heights)
    # of a constraint, which is one for all blocks, rows cannot be parted
    whole = len(shape.heights) == 1 and shape.unit >= shape.heights[0]
    settings = {"constraint": 0.125 if whole else 0.0}
    return [
        Part({"oft_blocks": draw.array(height // size, size, size)}, 1.0, settings)
        for height in shape.heights
    ]


def _boft(draw: Drawing, shape: Shape) -> list[Part]:
    if len(shape.heights) > 1 or shape.unit < shape.heights[0]:
        return []  # rows that are moved cannot be those of a butterfly
    (height,) = shape.heights
    if height % 4:
        return []  # two stages of blocks of two
    blocks = draw.array(2, height // 2, 2, 2)
    return [
        Part(
            {"oft_blocks": blocks, "rescale": draw.exact(height, 1, *(1 for _ in shape.kernel))},
            1.0,
            {"constraint": 0.125},
        )
    ]


def _oft_in(draw: Drawing, shape: Shape) -> list[Part]:
    size = 4
    columns = shape.inputs * int(np.prod(shape.kernel))
    vectors = draw.array(columns // size, size * (size - 1) // 2) / 8
    settings = {"neumann": 5.0, "limit": 0.0, "shared": 0.0}
    return [Part({"oft_R": vectors}, 1.0, settings) for _ in shape.heights]


def _boft_in(draw: Drawing, shape: Shape) -> list[Part]:
    columns = shape.inputs * int(np.prod(shape.kernel))
    turns = draw.array(1, columns // 4, 4, 4)
    return [
        Part({"boft_R": turns, "boft_s": draw.array(height, 1)}, 1.0, {})
        for height in shape.heights
    ]


def _ia3(draw: Drawing, shape: Shape) -> list[Part]:
    free = len(shape.heights) == 1 and not shape.told_by_size
    columns = shape.inputs if free and draw.rng.random() < 0.5 else 0
    tail = (1, 1) if shape.kernel else ()
    settings = {"on_input": float(bool(columns))}
    parts = []
    for height in shape.heights:
        count = columns or height
        first = (1, count) if columns or tail else (count, 1)
        parts.append(Part({"ia3_l": draw.exact(*first, *tail)}, 1.0, settings))
    return parts


def _glora(draw: Drawing, shape: Shape) -> list[Part]:
    rank, scale, tail = 2, draw.scale(), (1, 1) if shape.kernel else ()
    shared = {
        "a1": draw.array(shape.inputs, rank, *tail),
        "a2": draw.array(rank, shape.inputs, *tail),
        "b2": draw.array(rank, shape.inputs, *shape.kernel),
    }
    return [
        Part({**shared, "b1": draw.array(height, rank, *tail)}, scale, {})
        for height in shape.heights
    ]


def _full(draw: Drawing, shape: Shape) -> list[Part]:
    return [
        Part({"diff": draw.array(height, shape.inputs, *shape.kernel)}, 1.0, {})
        for height in shape.heights
    ]


def _norm(draw: Drawing, shape: Shape) -> list[Part]:
    return [
        Part({"w_norm": draw.array(height), "b_norm": draw.array(height)}, 1.0, {})
        for height in shape.heights
    ]


def _weight(draw: Drawing, shape: Shape) -> list[Part]:
    return [
        Part({"set_weight": draw.array(height, shape.inputs, *shape.kernel)}, 1.0, {})
        for height in shape.heights
    ]


GENERATORS: dict[str, Callable[[Drawing, Shape], Sequence[Part]]] = {
    "lora": _lora,
    "dora": _dora,
    "loha": _loha,
    "lokr": _lokr,
    "oft": _oft,
    "boft": _boft,
    "oft_in": _oft_in,
    "boft_in": _boft_in,
    "ia3": _ia3,
    "glora": _glora,
    "full": _full,
    "norm": _norm,
    "weight": _weight,
}
"""By algorithm; a new one's stands here, and every law covers it."""


def base_of(algorithm: str, shape: Sequence[int], seed: int = 99) -> dict[str, Any]:
    """A base module that an algorithm can be merged into."""
    rng = np.random.default_rng(seed)
    kind = (shape[0],) if algorithm == "norm" else tuple(shape)
    return {"weight": rng.standard_normal(kind), "bias": rng.standard_normal(shape[0])}
