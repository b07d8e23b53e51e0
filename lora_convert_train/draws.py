"""Random numbers of a batch: drawn from the seed and its place, so that a resumed run draws the same."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Place(NamedTuple):
    """Where a batch is in a training."""

    seed: int
    step: int
    """Optimizer step, from 0."""
    micro: int
    """Batch in the step, from 0."""
    rank: int
    """Process."""

    @property
    def number(self) -> int:
        """A seed of 63 bits of its own."""
        text = f"{self.seed}/{self.step}/{self.micro}/{self.rank}"
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1

    def generator(self) -> torch.Generator:
        """A generator on the CPU: it draws the same for every device."""
        import torch

        return torch.Generator().manual_seed(self.number)
