"""Detection names a file's author among all formats, and says so when the architecture is open."""

from __future__ import annotations

from pathlib import Path

import pytest

import lora_convert as lc
from lora_convert.architectures import ARCHITECTURES
from tests.laws.covering import pairwise
from tests.laws.pairs import WRITTEN, named, possible
from tests.laws.synthesis import adapter, parts
from tests.laws.test_conversion import LOW_RANK
from tests.laws.witness import written

ALIKE = {"sd1", "sd2"}
"""Every module of one has the same names in the other."""


@pytest.mark.parametrize(
    ("architecture", "format_name", "algorithm"),
    possible(pairwise(ARCHITECTURES, WRITTEN, LOW_RANK)),
)
def test_the_author_is_named_and_every_key_explained(
    tmp_path: Path, architecture: str, format_name: str, algorithm: str
) -> None:
    components = named(architecture, format_name)
    made = adapter(architecture, algorithm, components=components)
    found = lc.inspect(written(tmp_path, format_name, made))
    assert found.format == format_name
    if found.architecture is None and len(components) < len(parts(architecture)):
        return  # what is special of it is in a component that this format has no names for
    assert found.architecture == architecture or {found.architecture, architecture} == ALIKE
    assert (found.explained, found.unexplained) == (found.total, ())
    assert found.exit_code == 0
    assert found.algorithms == (algorithm,)
    assert set(found.components) == {module.component for module in made.modules}
    assert found.scale_source in {"tensor", "header", "config"}
    assert found.bytes > 0
    for candidate in found.candidates:
        if candidate.format != format_name:
            assert candidate.explained < found.explained
