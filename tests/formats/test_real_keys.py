"""Names of real files: all are detected, with every key explained.

The lists are read where a checkout has them beside it; none is part of this project.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lora_convert.conversion.detect import detect
from lora_convert.conversion.gather import gather
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.header import Header
from lora_convert.operations.catalogue import catalogue
from lora_convert.operations.convert import plan_convert
from lora_convert.tensors.dtypes import byte_count
from lora_convert.tensors.source import Source

FOLDER = Path(__file__).parents[3] / "shared" / "realkeys"
LISTS = sorted(FOLDER.glob("*.json")) if FOLDER.is_dir() else []

pytestmark = pytest.mark.skipif(not LISTS, reason="no lists of real names beside this checkout")

NAMES = {"flux1": "flux"}
"""Architectures of the lists that have another name here."""

AUTHORS = {
    "flux_lora_diffusers_base_model": "peft",
    "qwen_image_lora_diffusers": "dotted",
    "aitoolkit_diffusers": "diffusers",
    "aitoolkit": "comfyui",
    "anima_lora_peft": "comfyui",
    "wan_": "comfyui",
    "xlabs": "xlabs",
    "flux_control": "bfl",
    "cloneofsimo": "cloneofsimo",
    "dora_onetrainer": "onetrainer",
    "flux_lokr_bfl": "comfyui",
    "anima_lora_lokr": "comfyui",
    "flux_lora_diffusers": "diffusers",
}
"""The format of a file whose name contains this; of the others it is kohya's."""

OPEN = ("qwen_image_lora_diffusers", "flux_lokr_bfl")
"""Lists so short that several architectures have all the names and widths."""

UNFIT = {
    "anima_lora_lokr": "magnitude .* fits neither 16384 outputs nor 16384 inputs",
    "flux_lokr_bfl": "1024 rows cannot be parted as 1:1:1",
}
"""Lists whose shapes are illustrative and fit no weight: what such a file is refused with."""


def shapes(document: dict[str, Any]) -> dict[str, list[int]]:
    filled = document.get("shapes_filled") or {}
    return {
        key: shape if shape is not None else filled.get(key) or _usual(key)
        for key, shape in document["keys"].items()
    }


def _usual(key: str) -> list[int]:
    """Rank 4 for a name whose shape nobody wrote down."""
    return {"lora_down.weight": [4, 320], "lora_up.weight": [320, 4]}.get(key.partition(".")[2], [])


def write(path: Path, document: dict[str, Any]) -> None:
    """A sparse file with these names and shapes; its data are zeros, alphas too."""
    entries: dict[str, Any] = {}
    if document["metadata"]:
        entries["__metadata__"] = {key: str(value) for key, value in document["metadata"].items()}
    offset = 0
    for key, shape in shapes(document).items():
        size = byte_count("F16", shape)
        entries[key] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    head = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + offset)


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_real_names_are_explained(path: Path, tmp_path: Path) -> None:
    document = json.loads(path.read_text())
    file = tmp_path / "real.safetensors"
    write(file, document)
    header = Header(
        {key: Source(0, key, "F16", tuple(shape), 0, 0) for key, shape in shapes(document).items()},
        document["metadata"] or {},
        {},
    )
    found = detect(header)
    open_ = any(part in path.stem for part in OPEN)
    architecture = NAMES.get(document["architecture"], document["architecture"])
    if not open_:
        assert found.architecture == architecture
    assert found.format == next((AUTHORS[part] for part in AUTHORS if part in path.stem), "kohya")
    assert found.explained + len(found.embeddings) == len(document["keys"])
    assert not found.unexplained
    assert found.ambiguous == open_
    modules = {(reading.component, reading.module) for reading in found.readings.values()}
    algorithms = {entry.algorithm for entry in gather(header, found, lenient=True)}
    targets = ("diffusers", "peft", "kohya", "comfyui")
    magnitudes = any(reading.role == "magnitude" for reading in found.readings.values())
    for target in targets if not magnitudes else (found.format,):
        if not algorithms <= {*catalogue().matrix["kohya"][target]}:
            continue
        told = architecture if open_ else None
        output = str(tmp_path / target)
        try:
            plan = plan_convert(str(file), target, output=output, architecture=told)
        except ShapeError as error:
            assert re.search(next(UNFIT[part] for part in UNFIT if part in path.stem), str(error))
            continue
        except NotExpressibleError as error:  # a LoKr has few splits, and PEFT few shapes of it
            assert algorithms == {"lokr"}, error
            continue
        with plan:
            assert plan.as_json()["modules"] == len(modules)
