"""Which images are in which batch: a function of seed and position, so that no state has to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple


class Order(NamedTuple):
    """Batches of images of one size, in another order each epoch."""

    sizes: tuple[tuple[int, int], ...]
    """Of each image."""
    batch_size: int
    seed: int

    @property
    def batches_per_epoch(self) -> int:
        """Batches that show each image once; those of a bucket's rest are smaller."""
        counts = {size: self.sizes.count(size) for size in set(self.sizes)}
        return sum(-(-count // self.batch_size) for count in counts.values())

    def epoch_of(self, position: int) -> int:
        """The epoch, from 0, that the batch at a position is of."""
        return position // self.batches_per_epoch

    def batch(self, position: int) -> tuple[int, ...]:
        """Numbers of the images in the batch at a position, counted from the first epoch's first."""
        epoch, place = divmod(position, self.batches_per_epoch)
        return _epoch(self, epoch)[place]


@lru_cache(maxsize=4)
def _epoch(order: Order, epoch: int) -> Sequence[tuple[int, ...]]:
    draw = Random(f"order {order.seed} {epoch}")
    batches: list[tuple[int, ...]] = []
    for size in sorted(set(order.sizes)):
        members = [number for number, one in enumerate(order.sizes) if one == size]
        draw.shuffle(members)
        batches += [
            tuple(members[at : at + order.batch_size])
            for at in range(0, len(members), order.batch_size)
        ]
    draw.shuffle(batches)
    return batches
