"""Signs hold for each size of a family, and names of its own may be inside blocks."""

from __future__ import annotations

import pytest

from lora_convert.architectures import Architecture, Component
from lora_convert.architectures._vocabulary import alike, depth, fused, growth, width
from lora_convert.conversion.census import Count, groups_of
from lora_convert.conversion.recipes import Shown
from lora_convert.conversion.signs import evidence, names_itself
from lora_convert.conversion.spelling import Spelling
from lora_convert.formats import FORMATS
from lora_convert.header import Header
from lora_convert.tensors.source import Source

FAMILY = Architecture(
    name="family",
    title="A model of two sizes",
    components=(Component("transformer", alike("blocks.{}.<query,key>", "blocks.{}.audio.gate")),),
    signs=(width("blocks.{}.query", 8, 16), depth("blocks.{}", 2, 4)),
    own=("blocks.{}.audio.",),
)


def file_of(*modules: tuple[str, int]) -> tuple[Header, list[Shown]]:
    """A header of modules and their widths, and how they are read."""
    tensors = {
        f"transformer.{name}.lora_A.weight": Source(0, name, "F32", (1, inputs), 0, 4 * inputs)
        for name, inputs in modules
    }
    bound = Spelling(FORMATS["diffusers"], FAMILY)
    shown = Count(bound, groups_of(tuple(tensors)), wrapped=False).shown
    return Header(tensors, {}, {}), shown


@pytest.mark.parametrize(
    ("modules", "broken", "held"),
    [
        ([("blocks.0.query", 8), ("blocks.1.query", 8)], 0, 2),
        ([(f"blocks.{block}.query", 16) for block in range(4)], 0, 2),
        ([("blocks.0.query", 16), ("blocks.3.query", 16)], 0, 1),  # of a deeper model, perhaps
        ([("blocks.0.query", 8), ("blocks.2.query", 8)], 0, 1),  # some of four blocks
        ([("blocks.0.query", 8), ("blocks.1.query", 16)], 1, 1),  # of no one model
        ([("blocks.0.query", 12), ("blocks.4.query", 12)], 2, 0),
        ([("blocks.0.key", 12)], 0, 0),
    ],
)
def test_each_size_of_a_family_is_one_of_it(
    modules: list[tuple[str, int]], broken: int, held: int
) -> None:
    assert evidence(FAMILY, *file_of(*modules))[:2] == (-broken, held)


def test_names_of_its_own_inside_blocks() -> None:
    assert shows_itself(("blocks.7.audio.gate", 3))
    assert not shows_itself(("blocks.7.key", 3))
    assert not shows_itself(("blocks.7.query", 8))  # no model is so deep


def shows_itself(module: tuple[str, int]) -> bool:
    header, shown = file_of(module)
    return names_itself(FAMILY, shown, evidence(FAMILY, header, shown))


@pytest.mark.parametrize(
    ("native", "rows", "broken", "held"),
    [("gate_up", 8 * 6, 0, 1), ("gate_up", 8 * 4, 1, 0), ("down", 8 * 3, 0, 0)],
)
def test_rows_over_features(native: str, rows: int, broken: int, held: int) -> None:
    """Of a part of a fused module too."""
    table = FAMILY._replace(
        components=(
            Component(
                "transformer",
                (fused("blocks.{}.gate", "blocks.{}.up", into="b.{}.gate_up"), *alike("b.{}.down")),
            ),
        ),
        signs=(growth("blocks.{}.up", 3),),
    )
    name = f"transformer.b.0.{native}"
    tensors = {
        f"{name}.lora_A.weight": Source(0, name, "F32", (1, 8), 0, 32),
        f"{name}.lora_B.weight": Source(0, name, "F32", (rows, 1), 0, 4 * rows),
    }
    bound = Spelling(FORMATS["diffusers"], table)
    shown = Count(bound, groups_of(tuple(tensors)), wrapped=False).shown
    assert evidence(table, Header(tensors, {}, {}), shown)[:2] == (-broken, held)
