"""What an algorithm changes is the same in every format that holds it, and comes back as it was."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

import lora_convert as lc
from lora_convert.algorithms import ALGORITHMS
from lora_convert.operations.catalogue import catalogue
from tests.laws.generators import GENERATORS
from tests.laws.pairs import holds
from tests.laws.synthesis import adapter, largest_difference, parts
from tests.laws.test_conversion import LOW_RANK, tree
from tests.laws.witness import written

TELLING = ("sd1", "flux")
"""Architectures that have all kinds of rows between them: convolutions of both kinds, fused, swapped."""


def holding(algorithm: str) -> tuple[str, ...]:
    """Formats that hold an algorithm."""
    return catalogue().holding[algorithm]


CASES = [
    (origin, architecture, algorithm)
    for algorithm in ALGORITHMS
    if algorithm not in LOW_RANK
    for origin, architecture in product(holding(algorithm), TELLING)
    if holds(origin, architecture)
]


def test_every_algorithm_has_a_generator_and_a_format() -> None:
    assert GENERATORS.keys() == ALGORITHMS.keys()
    assert all(holding(algorithm) for algorithm in ALGORITHMS)


@pytest.mark.parametrize(("origin", "architecture", "algorithm"), CASES)
def test_it_acts_alike_in_every_format_and_comes_back(
    tmp_path: Path, origin: str, architecture: str, algorithm: str
) -> None:
    made = adapter(architecture, algorithm, components=(parts(architecture)[0].name,))
    source = written(tmp_path, origin, made)
    found = lc.inspect(source, architecture=architecture)
    assert (found.algorithms, found.unexplained) == ((algorithm,), ())
    for target in holding(algorithm):
        if not holds(target, architecture):
            continue
        there = lc.convert(
            source, target, output=str(tmp_path / f"to-{target}"), architecture=architecture
        )
        assert there.proof is not None
        assert there.proof.exact, there.proof
        assert lc.verify(source, there.output, architecture=architecture).exact
        read = lc.read_adapter(there.output, architecture=architecture)
        assert largest_difference(made, read) == 0.0
        back = lc.convert(
            there.output, origin, output=str(tmp_path / f"back-{target}"), architecture=architecture
        )
        again = lc.convert(
            back.output, target, output=str(tmp_path / f"again-{target}"), architecture=architecture
        )
        assert tree(again.output) == tree(there.output)
        last = lc.read_adapter(back.output, architecture=architecture)
        assert largest_difference(made, last) == 0.0
