"""A spelling is a bijection: parse(spell(x)) == x, for every format, architecture, module and role."""

from __future__ import annotations

import pytest

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.spelling import spelling
from tests.laws.pairs import PAIRS, named
from tests.laws.synthesis import module_names, parts


@pytest.mark.parametrize(("format_name", "architecture_name"), PAIRS)
def test_every_key_reads_back_as_what_it_was_spelled_from(
    format_name: str, architecture_name: str
) -> None:
    bound = spelling(format_name, architecture_name)
    namespace = bound.format.namespace_for(architecture_name)
    keys: dict[str, tuple[str, str, str]] = {}
    endings = [ending for ending in bound.format.endings if not ending.foreign]
    for component in parts(architecture_name):
        if component.name not in named(architecture_name, format_name):
            continue
        for row in (*component.rows, *component.norms):
            for name, _ in module_names(row, namespace):
                for role in {e.role for e in endings if name.endswith(e.tail)}:
                    key = bound.spell(component.name, name, role)
                    reading = bound.parse(key)
                    assert reading is not None, key
                    assert (reading.component, reading.module, reading.role) == (
                        component.name,
                        name,
                        role,
                    )
                    place = (component.name, name, role)
                    assert keys.setdefault(key, place) == place


@pytest.mark.parametrize(("format_name", "architecture_name"), PAIRS)
def test_every_namespace_is_read_and_keeps_its_name(
    format_name: str, architecture_name: str
) -> None:
    bound = spelling(format_name, architecture_name)
    for component in parts(architecture_name):
        if component.name not in named(architecture_name, format_name):
            continue
        for row in component.rows:
            for namespace in ("diffusers", "native", "original", "model"):
                for name, _ in module_names(row, namespace):
                    key = bound.spell(component.name, name, "down")
                    reading = bound.parse(key)
                    assert reading is not None
                    assert reading.component == component.name
                    # two names are one where underscores join their words
                    assert bound.spell(reading.component, reading.module, "down") == key


@pytest.mark.parametrize("architecture_name", ARCHITECTURES)
def test_flattened_names_are_unambiguous_inside_an_architecture(architecture_name: str) -> None:
    seen: dict[tuple[str, str], set[str]] = {}
    for component in ARCHITECTURES[architecture_name].components:
        for row in component.rows:
            for namespace in ("diffusers", "native", "original"):
                for name, numbers in module_names(row, namespace):
                    flat = (component.name, name.replace(".", "_"))
                    seen.setdefault(flat, set()).add(f"{row.native} {numbers}")
    assert all(len(places) == 1 for places in seen.values())
