"""Gather a header's tensors into deltas, one per module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.adapter import Adapter, Delta
from lora_convert.algorithms import ALGORITHMS, Algorithm, Factors
from lora_convert.architectures import ARCHITECTURES, find
from lora_convert.conversion.scales import HEADER_KEY, ScaleSources
from lora_convert.conversion.spelling import BASE
from lora_convert.errors import IncompleteModuleError, NotExpressibleError
from lora_convert.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.architectures import Architecture
    from lora_convert.conversion.detect import Detection
    from lora_convert.conversion.gather import Gathered
    from lora_convert.header import Header
    from lora_convert.tensors.expr import Expr

HASHES = ("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256")
"""Metadata that are hashes of a file's bytes."""
_CARRIED_NOT = frozenset({"format", HEADER_KEY, *HASHES})
"""Metadata that is a format's own or a hash of the old bytes."""


def read(
    header: Header, detection: Detection, gathered: tuple[Gathered, ...], scales: ScaleSources
) -> Adapter:
    """The adapter that gathered modules make; an error where one is incomplete or does not fit together."""
    _refuse_incomplete(gathered)
    _refuse_mixed(gathered)
    format_ = FORMATS[detection.format or ""]
    architecture = ARCHITECTURES[detection.architecture] if detection.architecture else None
    if architecture and format_.separator == ":":
        _check_numbers(gathered, architecture)
    deltas = []
    for entry in gathered:
        algorithm = ALGORITHMS[entry.algorithm]
        scale, source = scales.resolve(entry.as_module)
        given = Factors(entry.tensors, scale, _settings(algorithm, entry, scales))
        factors = algorithm.algebra.canonical(entry.module, given)
        if architecture and architecture.enlarged and entry.algorithm == "lora":
            factors = _enlarging(entry, factors, architecture)
        deltas.append(
            Delta(
                entry.component,
                entry.module,
                entry.namespace,
                entry.algorithm,
                factors.tensors,
                factors.scale,
                source,
                factors.settings,
            )
        )
    base = sum(reading.role == BASE for reading in detection.readings.values())
    carried = {
        key: value
        for key, value in header.metadata.items()
        if key not in _CARRIED_NOT and not key.startswith(format_.own_metadata)
    }
    configs = (*scales.configs.values(), *scales.payload.values())
    models = (config.base_model for config in configs)
    return Adapter(tuple(deltas), base, carried, next(filter(None, models), ""))


def _enlarging(entry: Gathered, factors: Factors, architecture: Architecture) -> Factors:
    """Factors that say where they are for a larger weight than their model has: not all formats do."""
    from lora_convert.algorithms.lora import enlarging

    found, _ = find(architecture, entry.module, entry.component)
    inputs = architecture.enlarged.get(found.row.diffusers[0]) if found else None
    return enlarging(factors) if factors.tensors["down"].shape[1:] == (inputs,) else factors


def _check_numbers(gathered: tuple[Gathered, ...], architecture: Architecture) -> None:
    """Refuse modules that are numbered, where they cannot be all of a walk in its order."""
    for part in architecture.components:
        found = [entry for entry in gathered if entry.component == part.name]
        wrong = [entry for entry in found if not _is_of(part.walk[entry.module], entry.tensors)]
        if not found or (not wrong and len(found) == len(part.walk)):
            continue
        why = f"{architecture.title} has {len(part.walk)} of them"
        if wrong:
            number = [*part.walk].index(wrong[0].module)
            why = f"by its shape, number {number} is no {wrong[0].module}"
        raise NotExpressibleError(
            f"{part.name}: its {len(found)} modules have numbers for names; which is which cannot be told",
            why=why,
            hint="convert it with the trainer's own tools, of the version that wrote it",
        )


def _is_of(growth: float, tensors: Mapping[str, Expr]) -> bool:
    """Whether factors are matrices of so many outputs to an input."""
    down, up = tensors["down"].shape, tensors["up"].shape
    return len(down) == len(up) == 2 and growth in {0.0, up[0] / max(down[1], 1)}


def _refuse_incomplete(gathered: tuple[Gathered, ...]) -> None:
    incomplete = [entry for entry in gathered if entry.missing]
    if incomplete:
        first = incomplete[0]
        raise IncompleteModuleError(first.module, first.missing, others=len(incomplete) - 1)


def _refuse_mixed(gathered: tuple[Gathered, ...]) -> None:
    """Refuse modules that have tensors of two algorithms: tools apply one of them, each its own."""
    mixed = [entry for entry in gathered if entry.strange]
    if mixed:
        first = mixed[0]
        more = f" (and {len(mixed) - 1} more modules like it)" if len(mixed) > 1 else ""
        raise NotExpressibleError(
            f"{first.module}: has {' and '.join(first.strange)} beside"
            f" {ALGORITHMS[first.algorithm].short}{more}",
            why="a module has one algorithm; of two, tools apply one and leave the other away",
            hint="lora-convert inspect --names FILE shows the names; remove the tensors of one algorithm",
        )


def _settings(algorithm: Algorithm, entry: Gathered, scales: ScaleSources) -> dict[str, float]:
    """The numbers that belong to a module's factors: beside it in the file, or in a configuration."""
    if not algorithm.settings:
        return {}
    given = {**scales.settings(entry.as_module), **entry.numbers}
    if algorithm.alpha == "constraint" and "alpha" in given:
        given["constraint"] = given["alpha"]
    return {name: given[name] for name in algorithm.settings if name in given}
