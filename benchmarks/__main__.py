"""python -m benchmarks: every claim, in one table."""

from __future__ import annotations

from benchmarks import (
    compact,
    copy,
    deltas,
    detection,
    imports,
    many,
    memory,
    pipelines,
    small,
    space,
    startup,
    torch_files,
    training,
)
from benchmarks.claims import main

if __name__ == "__main__":
    main(
        startup.claims,
        imports.claims,
        detection.claims,
        small.claims,
        torch_files.claims,
        many.claims,
        memory.claims,
        copy.claims,
        pipelines.claims,
        deltas.claims,
        space.claims,
        compact.claims,
        training.claims,
    )
