"""Every conversion, each of an adapter of every module: ``python -m tests.laws.matrix [ARCHITECTURE …]``.

CI runs a part in which every two things meet (`tests.laws.covering`). This runs all and, when no
architecture is named, writes what the page of formats says of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from lora_convert.architectures import ARCHITECTURES
from lora_convert.operations.catalogue import catalogue
from tests.laws.pairs import WRITTEN, holds
from tests.laws.test_conversion import check_change

FOUND = Path(__file__).resolve().parents[2] / "docs" / "generation" / "matrix.json"

Case = tuple[str, str, str, str]


def cases(architectures: list[str]) -> Iterator[Case]:
    """Architecture, origin, target and algorithm, where both formats can hold it and be written."""
    for architecture in architectures:
        able = [name for name in WRITTEN if holds(name, architecture)]
        for origin, target in product(able, able):
            for algorithm in catalogue().matrix[origin][target]:
                yield architecture, origin, target, algorithm


def failure(case: Case) -> str:
    """What is wrong with a conversion; empty where nothing is."""
    with TemporaryDirectory() as folder:
        try:
            check_change(Path(folder), *case)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            return f"{' '.join(case)}: {type(error).__name__}: {error}"
    return ""


def main() -> None:
    """Run all, print what failed, and write how many there were."""
    chosen = sys.argv[1:] or list(ARCHITECTURES)
    all_cases = list(cases(chosen))
    with ProcessPoolExecutor() as pool:
        failures = [text for text in pool.map(failure, all_cases, chunksize=8) if text]
    print(*failures, f"{len(all_cases) - len(failures)} of {len(all_cases)} keep ΔW", sep="\n")
    if chosen == list(ARCHITECTURES) and not failures:
        axes = [sorted({case[axis] for case in all_cases}) for axis in (0, 1, 3)]
        names = ("architectures", "formats", "algorithms")
        document = {**dict(zip(names, axes, strict=True)), "conversions": len(all_cases)}
        FOUND.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
