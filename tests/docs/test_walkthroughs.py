"""CONTRIBUTING's walkthroughs are true: their examples are registered, and convert."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import lora_convert as lc
from lora_convert.architectures import ARCHITECTURES, Architecture
from lora_convert.conversion.spelling import spelling
from lora_convert.formats import FORMATS, Format
from lora_convert.operations.adapters import AdapterArrays, ModuleArrays
from tests.docs.pages import ROOT, blocks

RANK, WIDTH = 2, 4


def _examples() -> list[object]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = []
    for block in blocks(text):
        if block.language == "python":
            names: dict[str, object] = {}
            exec(block.text, names)
            found.append(names["EXAMPLE"])
    return found


FORMAT, ARCHITECTURE = _examples()


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert isinstance(FORMAT, Format) and isinstance(ARCHITECTURE, Architecture)
    monkeypatch.setitem(FORMATS, FORMAT.name, FORMAT)
    monkeypatch.setitem(ARCHITECTURES, ARCHITECTURE.name, ARCHITECTURE)
    spelling.cache_clear()
    yield
    spelling.cache_clear()


@pytest.mark.usefixtures("_registered")
def test_the_format_of_the_walkthrough_converts_both_ways(scratch: Path) -> None:
    result = lc.convert("style.safetensors", "example")
    assert result.output == "style_example.safetensors"
    found = lc.inspect(result.output)
    assert (found.format, found.architecture, found.unexplained) == ("example", "sd1", ())
    lc.convert(result.output, "kohya", output="back.safetensors")
    assert lc.verify("style.safetensors", "back.safetensors").exact


@pytest.mark.usefixtures("_registered")
@pytest.mark.parametrize("to", ["peft", "accelerate", "diffusers", "kohya", "example"])
def test_the_architecture_of_the_walkthrough_converts_to_every_format(
    to: str, scratch: Path
) -> None:
    made = AdapterArrays(tuple(_modules()), "example", {})
    lc.write_adapter(made, os.fspath(scratch / "made.safetensors"))
    result = lc.convert("made.safetensors", to, output="converted", architecture="example")
    assert result.proof is not None and result.proof.equal
    assert lc.verify("made.safetensors", "converted", architecture="example").equal


def _modules() -> Iterator[ModuleArrays]:
    numbers = np.random.default_rng(0)
    assert isinstance(ARCHITECTURE, Architecture)
    for component in ARCHITECTURE.components:
        for row in component.rows:
            for name in row.diffusers:
                down = numbers.normal(size=(RANK, WIDTH)).astype(np.float32)
                up = numbers.normal(size=(WIDTH, RANK)).astype(np.float32)
                factors = {"down": down, "up": up}
                yield ModuleArrays(component.name, name.replace("{}", "0"), "lora", factors, 2.0)
