"""Which size each image is trained at, and which part of it that shows."""

from __future__ import annotations

from collections.abc import Iterable
from math import log
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lora_convert_train.dataset import Item

_MOST_STRETCHED = 2.0
"""Longer side over shorter, at most, of a bucket."""


class Frame(NamedTuple):
    """How an image becomes pixels: resized, then cut. All in pixels, (width, height)."""

    resized: tuple[int, int]
    left: int
    top: int
    size: tuple[int, int]
    """What is trained on."""
    original: tuple[int, int]


def bucket_sizes(resolution: int, step: int) -> tuple[tuple[int, int], ...]:
    """Sizes of at most a square's area, `resolution` being its side; sides are multiples of `step`."""
    found = set()
    area = resolution * resolution
    for width in range(step, int(resolution * _MOST_STRETCHED**0.5) + step, step):
        height = area // width // step * step
        for size in ((width, height), (height, width)):
            if min(size) > 0 and max(size) <= _MOST_STRETCHED * min(size):
                found.add(size)
    square = max(resolution // step, 1) * step
    return tuple(sorted(found | {(square, square)}))


def framed(item: Item, sizes: Iterable[tuple[int, int]]) -> Frame:
    """The size of the nearest shape, filled by the middle of the image."""
    ratio = item.width / item.height
    size = min(sizes, key=lambda one: (abs(log(one[0] / one[1] / ratio)), -one[0] * one[1]))
    scale = max(size[0] / item.width, size[1] / item.height)
    width = max(round(item.width * scale), size[0])
    height = max(round(item.height * scale), size[1])
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    return Frame((width, height), left, top, size, (item.width, item.height))


def frames(items: Iterable[Item], resolution: int, step: int, *, shapes: bool) -> tuple[Frame, ...]:
    """A frame for each image: of its nearest bucket, or with `shapes` false of the square."""
    side = max(resolution // step, 1) * step
    sizes = bucket_sizes(resolution, step) if shapes else ((side, side),)
    return tuple(framed(item, sizes) for item in items)


def too_small(item: Item, frame: Frame) -> bool:
    """Whether an image is less than half as large as what it is trained at."""
    return 2 * item.width < frame.size[0] or 2 * item.height < frame.size[1]
