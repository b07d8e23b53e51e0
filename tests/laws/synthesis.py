"""Tiny adapters made from the architectures' tables: seeded, two blocks deep, any algorithm."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from lora_convert.architectures import ARCHITECTURES, Component, Row, fill, find_all
from lora_convert.operations.adapters import AdapterArrays, ModuleArrays
from tests.laws.generators import GENERATORS, Drawing, Shape, base_of

WIDTH = 8
INPUTS = 12
DEPTH = 2

TOLD_BY_WIDTH = {"cosmos1"}
"""Architectures whose names in Diffusers are another's too."""


def parts(architecture: str) -> list[Component]:
    """The components of an architecture, but one of those of one shape: no name tells them apart."""
    found: dict[tuple[Row, ...], Component] = {}
    for component in ARCHITECTURES[architecture].components:
        found.setdefault(component.rows, component)
    return list(found.values())


def module_names(row: Row, namespace: str = "diffusers") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every name of a row's modules, two blocks deep, with the numbers that fill it."""
    for pattern in row.names(namespace):
        for numbers in product("01", repeat=pattern.count("{}")):
            yield fill(pattern, numbers), numbers


def heights(row: Row) -> tuple[int, ...]:
    """Rows of each of a row's Diffusers modules."""
    if row.growth:
        return (round(row.growth * INPUTS),)
    return tuple(WIDTH * len(chunks) for chunks in row.chunks)


def blocks(row: Row, component: Component) -> Iterator[tuple[str, ...]]:
    """The numbers of a row's modules, two blocks deep; of rows with one native name each has one block."""
    sharing = [other for other in component.rows if other.native == row.native]
    for numbers in product("01", repeat=row.diffusers[0].count("{}") if row.diffusers else 0):
        if not row.growth or numbers[-1] == f"{sharing.index(row)}":
            yield numbers


def inputs(architecture: str, row: Row) -> int:
    """Features that a row's modules take."""
    signs = ARCHITECTURES[architecture].signs if architecture in TOLD_BY_WIDTH else ()
    return next((s.inputs[0] for s in signs if s.inputs and s.module in row.diffusers), INPUTS)


def _kernel(row: Row) -> tuple[int, ...]:
    if row.kind == "linear" or not row.diffusers:
        return ()
    pointwise = row.diffusers[0].endswith(("proj_in", "proj_out", "conv_shortcut"))
    return (1, 1) if pointwise else (3, 3)


def _modules(
    architecture: str,
    component: Component,
    algorithm: str,
    rng: np.random.Generator,
    *,
    mixed: bool,
    dtype: str,
) -> Iterator[ModuleArrays]:
    for row in component.rows:
        kernel, width = _kernel(row), inputs(architecture, row)
        groups: dict[tuple[str, ...], list[tuple[str, int]]] = {}
        for pattern, height in zip(row.diffusers, heights(row), strict=True):
            for numbers in blocks(row, component):
                groups.setdefault(numbers, []).append((fill(pattern, numbers), height))
        for members in groups.values():
            tall = tuple(height for _, height in members)
            shape = Shape(tall, WIDTH, width, kernel, bool(row.growth))
            made = GENERATORS[algorithm](Drawing(rng, dtype, mixed), shape)
            for (name, _), part in zip(members, made, strict=False):
                yield ModuleArrays(component.name, name, algorithm, *part)


def adapter(
    architecture: str,
    algorithm: str = "lora",
    *,
    components: tuple[str, ...] | None = None,
    mixed: bool = False,
    dtype: str = "float32",
    seed: int = 0,
) -> AdapterArrays:
    """An adapter of every module of an architecture's components."""
    rng = np.random.default_rng(seed)
    chosen = [
        component
        for component in parts(architecture)
        if components is None or component.name in components
    ]
    modules = [
        module
        for component in chosen
        for module in _modules(architecture, component, algorithm, rng, mixed=mixed, dtype=dtype)
    ]
    return AdapterArrays(tuple(modules), architecture, {})


def placed(architecture: str, module: ModuleArrays) -> tuple[Row, int, tuple[str, ...]]:
    """The row that a module was made from, its place in that row, and the numbers in its name."""
    known = ARCHITECTURES[architecture]
    component = known.component(module.component)
    assert component is not None
    for entry, digits in find_all(known, module.module, module.component):
        numbers = entry.wildcards(digits)
        if numbers in blocks(entry.row, component):
            return entry.row, entry.member, numbers
    raise AssertionError(module.module)


def weight_shape(architecture: str, module: ModuleArrays) -> tuple[int, ...]:
    """The shape of the weight that a module's factors were made for."""
    row, member, _ = placed(architecture, module)
    return (heights(row)[member], inputs(architecture, row), *_kernel(row))


def changes(found: AdapterArrays) -> dict[tuple[str, str], np.ndarray]:
    """ΔW by component and module; where it takes the base, what a seeded one becomes."""
    changed = {}
    for module in found.modules:
        if module.algorithm in ("lora", "dora"):
            change = module.weight_change()
        else:
            assert found.architecture
            shape = weight_shape(found.architecture, module)
            change = module.merged_weight(base_of(module.algorithm, shape)["weight"])
        changed[module.component, module.module] = change
    return changed


def largest_difference(one: AdapterArrays, other: AdapterArrays) -> float:
    """Largest relative Frobenius difference of ΔW; infinite where modules differ."""
    before, after = changes(one), changes(other)
    if before.keys() != after.keys():
        return float("inf")
    return max(
        float(np.linalg.norm(before[key] - after[key]) / np.linalg.norm(before[key]))
        for key in before
    )
