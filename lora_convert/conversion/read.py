"""Gather a header's tensors into deltas, one per module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.adapter import Adapter, Delta
from lora_convert.algorithms import ALGORITHMS
from lora_convert.conversion.scales import HEADER_KEY, ScaleSources
from lora_convert.conversion.spelling import BASE
from lora_convert.errors import IncompleteModuleError
from lora_convert.tensors.build import reshaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.conversion.detect import Detection
    from lora_convert.conversion.gather import Gathered
    from lora_convert.header import Header
    from lora_convert.tensors.expr import Expr

_CARRIED_NOT = frozenset(
    {"format", HEADER_KEY, "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"}
)
"""Metadata that is a format's own or a hash of the old bytes."""


def read(
    header: Header, detection: Detection, gathered: tuple[Gathered, ...], scales: ScaleSources
) -> Adapter:
    """The adapter that gathered modules make; an error where one is incomplete or does not fit together."""
    _refuse_incomplete(gathered)
    deltas = []
    for entry in gathered:
        tensors: dict[str, Expr] = dict(entry.tensors)
        if "magnitude" in tensors:
            tensors["magnitude"] = _canonical_magnitude(tensors)
        ALGORITHMS[entry.algorithm].algebra.check(entry.module, tensors)
        scale, source = scales.resolve(entry.as_module)
        deltas.append(
            Delta(
                entry.component,
                entry.module,
                entry.namespace,
                entry.algorithm,
                tensors,
                scale,
                source,
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


def _canonical_magnitude(tensors: Mapping[str, Expr]) -> Expr:
    """(O) where the norm runs over output rows, whatever the file's shape; else as it is.

    The axis is read from the shape: (O), (O, 1, …) and PEFT's (1, O, 1, 1) run over outputs,
    (1, I, …) over inputs.
    """
    magnitude, up, down = tensors["magnitude"], tensors["up"], tensors["down"]
    if len(up.shape) < 2 or len(down.shape) < 2:
        return magnitude  # the check that follows refuses such factors
    out, into = up.shape[0], down.shape[1]
    shape = magnitude.shape
    named_by_peft = "lora_magnitude_vector" in getattr(magnitude, "name", "")
    ones = all(length == 1 for length in shape[2:])
    by_column = len(shape) > 1 and shape[0] == 1 and shape[1] == into and not named_by_peft
    if by_column and not (out == 1 and into == 1):
        return magnitude
    if (ones and shape[:2] in ((out, 1), (1, out))) or shape == (out,):
        return reshaped(magnitude, (out,))
    return magnitude
