"""Which rank each module gets, from the singular values of all."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lora_convert.tensors.evaluate import Array


class Limits(NamedTuple):
    """What decides ranks. Of several all hold; a module keeps one at least."""

    rank: int | None = None
    """No module has more."""
    energy: float | None = None
    """Share of ‖ΔW‖², the squared Frobenius norm, that each module keeps."""
    sum: float | None = None
    """Share of the sum of all singular values that each module keeps."""
    ratio: float | None = None
    """Singular values below the largest over this are left away."""
    size: int | None = None
    """Bytes of the output: what counts most in all modules together is kept."""

    def check(self) -> None:
        """Raise OptionError where nothing is limited, or by what cannot be."""
        if all(limit is None for limit in self):
            raise OptionError(
                "rank", "", why="nothing says how small", hint="for example --rank 16"
            )
        allowed = {
            "rank": (self.rank, 1, float("inf"), "--rank 16"),
            "energy": (self.energy, 0, 1, "--energy 0.95"),
            "sum": (self.sum, 0, 1, "--sum 0.9"),
            "ratio": (self.ratio, 1, float("inf"), "--ratio 20"),
            "size": (self.size, 1, float("inf"), "--size 20MB"),
        }
        for name, (value, least, most, example) in allowed.items():
            if value is not None and not (isfinite(value) and least <= value <= most):
                raise OptionError(name, value, hint=f"for example {example}")


def ranks(
    spectra: Sequence[Array],
    costs: Sequence[int],
    limits: Limits,
    size_of: Callable[[Sequence[int]], int],
) -> list[int]:
    """A rank for each module, from its singular values and the elements that one more rank costs.

    Values must be those of the effective ΔW where a size is wanted: they are compared between modules.
    `size_of` gives the bytes of the output for ranks.
    """
    most = [_most(values, limits) for values in spectra]
    if limits.size is None or size_of(most) <= limits.size:
        return most
    return _that_fit(spectra, costs, most, limits.size, size_of)


def _most(values: Array, limits: Limits) -> int:
    """By all limits that look at one module alone."""
    import numpy

    count = len(values) if limits.rank is None else min(limits.rank, len(values))
    if limits.ratio is not None:
        count = min(count, int((values * limits.ratio >= values[0]).sum()))
    for share, power in ((limits.energy, 2), (limits.sum, 1)):
        if share is not None and values[0] > 0:
            kept = numpy.cumsum(values**power)
            count = min(count, int(numpy.searchsorted(kept, share * kept[-1] * _BELOW)) + 1)
    return max(count, 1)


_BELOW = 1 - 1e-12
"""All of it is had when what is missing is rounding."""


def _that_fit(
    spectra: Sequence[Array],
    costs: Sequence[int],
    most: Sequence[int],
    size: int,
    size_of: Callable[[Sequence[int]], int],
) -> list[int]:
    """The ranks that lose least of all ΔWs together among those that fit.

    Singular values of all modules are taken in the order of what they add to ‖ΔW‖² for each byte; as they
    fall within a module, any beginning of that order is ranks.
    """
    import numpy

    owners = numpy.concatenate([numpy.full(top - 1, at) for at, top in enumerate(most)])
    gains = [
        numpy.square(values[1:top]) / cost
        for values, cost, top in zip(spectra, costs, most, strict=True)
    ]
    order = owners[numpy.argsort(-numpy.concatenate(gains), kind="stable")].astype(int)

    def chosen(count: int) -> list[int]:
        return [1 + int(n) for n in numpy.bincount(order[:count], minlength=len(most))]

    low, high = 0, len(order)
    if size_of(chosen(0)) > size:
        least = size_of(chosen(0))
        why = f"at rank 1 it takes {least:,} bytes"
        raise OptionError("size", size, why=why, hint=f"--size {least}, or --dtype fp16")
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size_of(chosen(middle)) <= size else (low, middle - 1)
    return chosen(low)
