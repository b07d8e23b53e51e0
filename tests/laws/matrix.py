"""Every conversion, each of an adapter of every module: ``python -m tests.laws.matrix [ARCHITECTURE …]``.

CI runs a part in which every two things meet (`tests.laws.covering`). This runs all and, when no
architecture is named, writes what the page of formats says of it. ``--new`` runs those alone that
have a format, architecture or algorithm which the last run did not know.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from lora_convert.architectures import ARCHITECTURES
from lora_convert.operations.catalogue import catalogue
from tests.laws.pairs import WRITTEN, holds, named
from tests.laws.synthesis import adapter
from tests.laws.witness import converted, written

FOUND = Path(__file__).resolve().parents[2] / "docs" / "generation" / "matrix.json"


class Case(NamedTuple):
    """A conversion of one adapter."""

    architecture: str
    algorithm: str
    origin: str
    target: str


def cases(architectures: Iterable[str]) -> Iterator[Case]:
    """All that there can be: both formats have names for the model, and a place for the algorithm."""
    matrix, holding = catalogue().matrix, catalogue().holding
    for architecture in architectures:
        able = [name for name in WRITTEN if holds(name, architecture)]
        for origin, target in product(able, able):
            for algorithm in matrix[origin][target]:
                if origin in holding[algorithm]:
                    yield Case(architecture, algorithm, origin, target)


def contents(of: Iterable[Case]) -> dict[str, Any]:
    """What cases are made of: architectures, and algorithms by origin and target."""
    seen = list(of)
    pairs: dict[str, dict[str, str]] = {}
    for origin, target in sorted({(case.origin, case.target) for case in seen}):
        held = {case.algorithm for case in seen if (case.origin, case.target) == (origin, target)}
        pairs.setdefault(origin, {})[target] = " ".join(sorted(held))
    return {
        "architectures": " ".join(sorted({case.architecture for case in seen})),
        "algorithms": pairs,
        "conversions": len(seen),
    }


def known(case: Case, document: dict[str, Any]) -> bool:
    """Whether a document tells of a run that had a case."""
    held = document["algorithms"].get(case.origin, {}).get(case.target, "")
    return case.architecture in document["architectures"].split() and case.algorithm in held.split()


def run(group: list[Case]) -> tuple[float, list[str]]:
    """Convert one file to each of some formats: the largest difference of a weight, and what failed."""
    largest, failures = 0.0, []
    first = group[0]
    # in memory, where there is such a folder: what reaches a disk when is no matter here
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        components = named(first.architecture, first.origin, first.target)
        made = adapter(first.architecture, first.algorithm, components=components)
        try:
            source = written(Path(folder), first.origin, made)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            return 0.0, [f"{' '.join(first[:3])}: {type(error).__name__}: {error}"]
        for case in group:
            try:
                largest = max(largest, converted(Path(folder), made, source, case.target))
            except Exception as error:  # noqa: BLE001
                failures.append(f"{' '.join(case)}: {type(error).__name__}: {error}")
    return largest, failures


def groups(of: Iterable[Case]) -> list[list[Case]]:
    """Cases that begin with the same file."""

    def source(case: Case) -> tuple[Any, ...]:
        return *case[:3], named(case.architecture, case.origin, case.target)

    return [list(group) for _, group in groupby(sorted(of, key=source), key=source)]


def main() -> None:
    """Run all, print what failed, and write how many there were."""
    chosen = [name for name in sys.argv[1:] if name != "--new"]
    before = json.loads(FOUND.read_text(encoding="utf-8"))
    wanted = list(cases(chosen or ARCHITECTURES))
    new = [case for case in wanted if not known(case, before)] if "--new" in sys.argv else wanted
    with ProcessPoolExecutor() as pool:
        results = list(pool.map(run, groups(new), chunksize=4))
    failures = [text for _, failed in results for text in failed]
    print(*failures, f"{len(new) - len(failures)} of {len(new)} keep ΔW", sep="\n")
    if not chosen and not failures:
        least = before["largest_difference"] if "--new" in sys.argv else 0.0
        largest = max([least, *(difference for difference, _ in results)])
        document = {**contents(wanted), "largest_difference": float(f"{largest:.1e}")}
        FOUND.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
