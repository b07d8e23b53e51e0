"""A claim with its limit, the table of claims, and the options of every benchmark."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from benchmarks.measuring import Pairs


class Claim(NamedTuple):
    """One measured number and the limit it must keep."""

    what: str
    value: float
    limit: float
    unit: str
    """``×`` for ratios, ``MB``, or a plain count."""
    note: str = ""
    at_least: bool = False
    """Whether the limit is one from below."""

    @property
    def kept(self) -> bool:
        """Whether the limit was kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def row(self) -> tuple[str, ...]:
        """Cells of the table."""
        sign = "≥" if self.at_least else "≤"
        verdict = "kept" if self.kept else "EXCEEDED"
        digits = 2 if self.unit == "×" else 0
        value = f"{self.value:.{digits}f} {self.unit}"
        return self.what, value, f"{sign} {self.limit:g} {self.unit}", verdict, self.note


class Settings(NamedTuple):
    """What the options say."""

    folder: str
    largest: int
    """Megabytes: claims about larger files are left out."""
    rounds: int | None

    def turns(self, usual: int) -> int:
        """Rounds of a measurement that usually takes `usual`."""
        return self.rounds or usual


Benchmark = Callable[[Settings], Iterable[Claim]]


def ratio(what: str, measured: Pairs, limit: float, *, inverse: bool = False) -> Claim:
    """A claim about two commands; `inverse` for one about how much faster the first is."""
    seconds = f"{measured.first:.3f} s : {measured.second:.3f} s"
    value = 1 / measured.ratio if inverse else measured.ratio
    return Claim(what, value, limit, "×", seconds, at_least=inverse)


def main(*benchmarks: Benchmark) -> None:
    """Run benchmarks, print one table, exit with 1 where a limit was exceeded."""
    parser = argparse.ArgumentParser(description="Measure what the package promises.")
    parser.add_argument("--folder", help="where files are written (default: a temporary folder)")
    parser.add_argument(
        "--largest",
        type=int,
        default=3400,
        metavar="MB",
        help="leave out claims about larger files (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=int, help="rounds of each measurement (default: its own)")
    options = parser.parse_args()
    claims = []
    with _workplace(options.folder) as folder:
        for benchmark in benchmarks:
            for claim in benchmark(Settings(folder, options.largest, options.rounds)):
                print("  ".join(claim.row), file=sys.stderr, flush=True)
                claims.append(claim)
    print(_table([("claim", "measured", "limit", "", "medians"), *(claim.row for claim in claims)]))
    sys.exit(0 if all(claim.kept for claim in claims) else 1)


@contextmanager
def _workplace(parent: str | None) -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="benchmarks-", dir=parent)
    try:
        yield os.path.abspath(folder)
    finally:
        shutil.rmtree(folder)


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
