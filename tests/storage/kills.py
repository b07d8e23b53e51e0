"""What campaigns of kills have in common: the moments, the draw, and what is said at the end."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tests.storage.forking import Moment

MOMENTS: tuple[Moment, ...] = ("before", "half", "after")
Work = TypeVar("Work")


class Campaign(Protocol[Work]):
    """Kills of works in one temporary folder, and what they left."""

    left: Counter[str]
    """How often each state was found after a kill."""
    problems: list[str]

    def points(self, work: Work) -> list[tuple[Work, int, Moment]]:
        """All points at which a work can be killed."""

    def kill(self, work: Work, call: int, moment: Moment) -> None:
        """One kill, and all that must hold after it."""


def run(
    told: str | None,
    make: Callable[[Path], Campaign[Work]],
    works: Sequence[Work],
    success: str,
    kills: int = 1000,
) -> int:
    """Run a campaign with the options of the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=told, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=kills)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = make(Path(folder))
        points = [point for work in works for point in campaign.points(work)]
        order = random.Random(options.seed)
        drawn: list[Any] = []
        while len(drawn) < options.kills:
            drawn += order.sample(points, min(len(points), options.kills - len(drawn)))
        for point in drawn:
            campaign.kill(*point)
    print(f"{len(drawn)} kills at {len(set(drawn))} of {len(points)} points")
    for state, count in sorted(campaign.left.items()):
        print(f"{count:6} {state}")
    print("\n".join(campaign.problems) or success)
    return 1 if campaign.problems else 0
