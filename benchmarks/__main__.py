"""python -m benchmarks: every claim, in one table."""

from __future__ import annotations

from benchmarks import copy, imports, memory, small, startup
from benchmarks.claims import main

if __name__ == "__main__":
    main(startup.claims, imports.claims, small.claims, memory.claims, copy.claims)
