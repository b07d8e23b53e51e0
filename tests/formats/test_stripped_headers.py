"""Headers of real models' adapters, without their data: every key is explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_convert.conversion.detect import detect
from lora_convert.header import Header
from lora_convert.tensors.source import Source

HEADERS = sorted((Path(__file__).parents[2] / "fixtures" / "headers").glob("*.json"))


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.stem)
def test_names_of_real_models_are_explained(path: Path) -> None:
    format_name, architecture, *_ = path.stem.split("-")
    document = json.loads(path.read_text())
    tensors = {
        name: Source(0, name, entry["dtype"], tuple(entry["shape"]), 0, 0)
        for name, entry in document["tensors"].items()
    }
    found = detect(Header(tensors, document["metadata"], {}))
    assert found.format == format_name
    assert found.architecture == {"clip": "sd1"}.get(architecture, architecture)
    assert (found.explained, found.unexplained) == (len(tensors), ())


def test_there_are_some() -> None:
    assert len(HEADERS) >= 5
