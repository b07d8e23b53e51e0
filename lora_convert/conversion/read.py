"""Gather a header's tensors into deltas, one per module."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.adapter import Adapter, Delta, Namespace
from lora_convert.algorithms import ALGORITHMS
from lora_convert.algorithms.lora import rank
from lora_convert.conversion.scales import HEADER_KEY, Module, ScaleSources
from lora_convert.conversion.spelling import BASE
from lora_convert.errors import AmbiguousCheckpointError, IncompleteModuleError, ShapeError
from lora_convert.tensors.build import reshaped

if TYPE_CHECKING:
    from lora_convert.tensors.expr import Expr
    from collections.abc import Mapping

    from lora_convert.conversion.detect import Detection
    from lora_convert.header import Header

_CARRIED_NOT = frozenset(
    {"format", HEADER_KEY, "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"}
)
"""Metadata that is a format's own or a hash of the old bytes."""

_NUMBERS = frozenset({"alpha", "scale"})


class Gathered(NamedTuple):
    """The tensors of one module, whole or not."""

    component: str
    module: str
    namespace: Namespace
    adapter: str
    tensors: dict[str, Expr]
    numbers: dict[str, float]
    """``alpha`` and ``scale``."""

    @property
    def algorithm(self) -> str:
        """The algorithm its roles name."""
        return "dora" if "magnitude" in self.tensors else "lora"

    @property
    def missing(self) -> tuple[str, ...]:
        """Roles it needs and lacks."""
        return tuple(role for role in ALGORITHMS[self.algorithm].needs if role not in self.tensors)

    @property
    def rank(self) -> int:
        """Rows of its down factor; 0 where it has none."""
        return rank(self.tensors)

    @property
    def as_module(self) -> Module:
        """What decides its scale."""
        return Module(
            self.component,
            self.module,
            self.rank,
            self.numbers.get("alpha"),
            self.numbers.get("scale"),
        )


def gather(
    header: Header, detection: Detection, adapter: str | None = None, *, lenient: bool = False
) -> tuple[Gathered, ...]:
    """The modules of a detected header, of one adapter if named, in file order.

    Raises AmbiguousCheckpointError where two keys name one tensor, ShapeError for an alpha that is no
    number; `lenient` passes both over.
    """
    found: dict[tuple[str, str, str], Gathered] = {}
    for key, reading in detection.readings.items():
        if reading.role == BASE or (adapter is not None and reading.adapter != adapter):
            continue
        place = (reading.component, reading.module, reading.adapter)
        entry = found.get(place)
        if entry is None:
            entry = Gathered(
                reading.component, reading.module, reading.namespace, reading.adapter, {}, {}
            )
            found[place] = entry
        if reading.role in entry.tensors or reading.role in entry.numbers:
            if not lenient:
                raise AmbiguousCheckpointError(
                    f"two keys are the {reading.role} of {reading.module}", choices=(key,)
                )
        elif reading.role not in _NUMBERS:
            entry.tensors[reading.role] = header.tensors[key]
        elif not lenient or len(header.scalars.get(key, ())) == 1:
            entry.numbers[reading.role] = _number(header, key, reading.module, lenient=lenient)
    return tuple(found.values())


def _number(header: Header, key: str, module: str, *, lenient: bool) -> float:
    values = header.scalars.get(key, ())
    if lenient:
        return values[0]
    if len(values) != 1 or not isfinite(values[0]):
        shape = list(header.tensors[key].shape)
        shown = f"holds {values[0]}" if len(values) == 1 else f"has shape {shape}"
        raise ShapeError(module, f"{key} {shown}; it must be one finite number")
    return values[0]


def adapters(detection: Detection) -> tuple[str, ...]:
    """Names of the adapters in a detected header."""
    return tuple(dict.fromkeys(r.adapter for r in detection.readings.values() if r.role != BASE))


def chosen_adapter(detection: Detection, wanted: str | None, path: str) -> str | None:
    """The adapter to read; AmbiguousCheckpointError where there are several and none is wanted."""
    names = adapters(detection)
    if wanted is None and len(names) > 1:
        raise AmbiguousCheckpointError(
            f"{path}: holds {len(names)} adapters",
            choices=names,
            hint=f"choose one with --adapter {names[0]}",
        )
    if wanted is not None and wanted not in names:
        raise AmbiguousCheckpointError(
            f"{path}: has no adapter {wanted!r}",
            choices=names or ("(unnamed)",),
            hint="choose one of these with --adapter",
        )
    return wanted


def read(
    header: Header, detection: Detection, gathered: tuple[Gathered, ...], scales: ScaleSources
) -> Adapter:
    """The adapter that gathered modules make; an error where one is incomplete or does not fit together."""
    _refuse_incomplete(gathered)
    deltas = []
    for entry in gathered:
        tensors = dict(entry.tensors)
        if "magnitude" in tensors:
            tensors["magnitude"] = _canonical_magnitude(tensors)
        ALGORITHMS[entry.algorithm].check(entry.module, tensors)
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
    return Adapter(tuple(deltas), base, carried)


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
    magnitude, out, into = tensors["magnitude"], tensors["up"].shape[0], tensors["down"].shape[1]
    shape = magnitude.shape
    named_by_peft = "lora_magnitude_vector" in getattr(magnitude, "name", "")
    ones = all(length == 1 for length in shape[2:])
    by_column = len(shape) > 1 and shape[0] == 1 and shape[1] == into and not named_by_peft
    if by_column and not (out == 1 and into == 1):
        return magnitude
    if (ones and shape[:2] in ((out, 1), (1, out))) or shape == (out,):
        return reshaped(magnitude, (out,))
    return magnitude
