"""Gather a header's tensors into deltas, one per module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.adapter import Adapter, Delta
from lora_convert.algorithms import ALGORITHMS, Algorithm, Factors
from lora_convert.conversion.scales import HEADER_KEY, ScaleSources
from lora_convert.conversion.spelling import BASE
from lora_convert.errors import IncompleteModuleError, NotExpressibleError

if TYPE_CHECKING:
    from lora_convert.conversion.detect import Detection
    from lora_convert.conversion.gather import Gathered
    from lora_convert.header import Header

_CARRIED_NOT = frozenset(
    {"format", HEADER_KEY, "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"}
)
"""Metadata that is a format's own or a hash of the old bytes."""


def read(
    header: Header, detection: Detection, gathered: tuple[Gathered, ...], scales: ScaleSources
) -> Adapter:
    """The adapter that gathered modules make; an error where one is incomplete or does not fit together."""
    _refuse_incomplete(gathered)
    _refuse_mixed(gathered)
    deltas = []
    for entry in gathered:
        algorithm = ALGORITHMS[entry.algorithm]
        scale, source = scales.resolve(entry.as_module)
        given = Factors(entry.tensors, scale, _settings(algorithm, entry, scales))
        factors = algorithm.algebra.canonical(entry.module, given)
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
    carried = {key: value for key, value in header.metadata.items() if key not in _CARRIED_NOT}
    configs = (*scales.configs.values(), *scales.payload.values())
    models = (config.base_model for config in configs)
    return Adapter(tuple(deltas), base, carried, next(filter(None, models), ""))


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
