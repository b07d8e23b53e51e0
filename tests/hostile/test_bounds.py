"""Time and memory for headers near the limits; `python -m tests.hostile.bounds_campaign` has the largest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.bounds_campaign import MEMORY, SMALL, problems, spent

NEED = ("two tensors", "100,000 numbers", "4,000,000 empty lists", "blanks", "a text of 100 MB")


@pytest.mark.parametrize("name", NEED)
def test_a_header_s_verdict_is_quick_and_small(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(SMALL[name]())
    assert problems(spent(["inspect", "--quiet", str(path)])) == ""


def test_what_is_measured_is_what_is_spent(tmp_path: Path) -> None:
    """The control: a larger file costs more, and a small one next to nothing."""
    costs = []
    for name in ("two tensors", "a text of 100 MB"):
        path = tmp_path / "x.safetensors"
        path.write_bytes(SMALL[name]())
        costs.append(spent(["inspect", "--quiet", str(path)]))
    if costs[0].memory:  # as far as the system tells it
        assert costs[0].memory < 64 << 20
        assert 100 << 20 < costs[1].memory < MEMORY
    assert costs[0].seconds < 3
