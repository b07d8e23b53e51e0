"""Tiny adapters made from the architectures' tables: seeded, two blocks deep, any algorithm."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from lora_convert.architectures import ARCHITECTURES, Component, Row, fill
from lora_convert.operations.adapters import AdapterArrays, ModuleArrays

WIDTH = 8
INPUTS = WIDTH + 2
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
            # parts of one native module have one scale, unless mixed
            rank, scale = int(rng.integers(1, 4)), float(rng.choice([0.5, 1.0, 2.0]))
            for name, height in members:
                if mixed:
                    rank, scale = int(rng.integers(1, 5)), float(rng.choice([0.3, 1.0, 1.7]))
                tail = (1, 1) if kernel else ()
                tensors = {
                    "down": rng.standard_normal((rank, width, *kernel)).astype(dtype),
                    "up": rng.standard_normal((height, rank, *tail)).astype(dtype),
                }
                if algorithm == "dora":
                    tensors["magnitude"] = rng.random(height).astype(dtype)
                yield ModuleArrays(component.name, name, algorithm, tensors, scale)


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


def changes(found: AdapterArrays) -> dict[tuple[str, str], np.ndarray]:
    """ΔW by component and module."""
    return {(m.component, m.module): m.weight_change() for m in found.modules}


def largest_difference(one: AdapterArrays, other: AdapterArrays) -> float:
    """Largest relative Frobenius difference of ΔW; infinite where modules differ."""
    before, after = changes(one), changes(other)
    if before.keys() != after.keys():
        return float("inf")
    return max(
        float(np.linalg.norm(before[key] - after[key]) / np.linalg.norm(before[key]))
        for key in before
    )
