"""A header's tensors by module, whole or not: all that can be said without looking at factors."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.algorithms import NUMBERS, Algorithm, algorithm_of
from lora_convert.conversion.scales import Module
from lora_convert.conversion.spelling import BASE
from lora_convert.errors import AmbiguousCheckpointError, ShapeError

if TYPE_CHECKING:
    from lora_convert.adapter import Namespace
    from lora_convert.conversion.detect import Detection
    from lora_convert.header import Header
    from lora_convert.tensors.expr import Stored


class Gathered(NamedTuple):
    """The tensors of one module, whole or not."""

    component: str
    module: str
    namespace: Namespace
    adapter: str
    tensors: dict[str, Stored]
    numbers: dict[str, float]
    """``alpha``, ``scale`` and ``on_input``."""

    @property
    def algorithm(self) -> str:
        """The algorithm its roles name."""
        return self._algorithm.name

    @property
    def _algorithm(self) -> Algorithm:
        return algorithm_of(self.tensors)

    @property
    def missing(self) -> tuple[str, ...]:
        """Roles it needs and lacks."""
        return self._algorithm.missing({*self.tensors, *self.numbers})

    @property
    def strange(self) -> tuple[str, ...]:
        """Roles that its algorithm does not have: those of another beside it."""
        roles = {*self._algorithm.roles, "alpha", "scale"}
        return tuple(role for role in (*self.tensors, *self.numbers) if role not in roles)

    @property
    def void(self) -> bool:
        """Whether it has an alpha that means nothing."""
        return "alpha" in self.numbers and self._algorithm.alpha == "nothing"

    @property
    def rank(self) -> int:
        """What its alpha is divided by; 0 where it has no rank."""
        return self._algorithm.rank(self.tensors)

    @property
    def as_module(self) -> Module:
        """What decides its scale."""
        return Module(
            self.component,
            self.module,
            self.rank,
            self.numbers.get("alpha"),
            self.numbers.get("scale"),
            self.algorithm,
        )


def gather(
    header: Header, detection: Detection, adapter: str | None = None, *, lenient: bool = False
) -> tuple[Gathered, ...]:
    """The modules of a detected header, of one adapter if named, in file order.

    A number that was not read is NaN.

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
        elif reading.role not in NUMBERS:
            entry.tensors[reading.role] = header.tensors[key]
        elif not lenient or key in header.unread or len(header.scalars.get(key, ())) == 1:
            entry.numbers[reading.role] = _number(header, key, reading.module, lenient=lenient)
    return tuple(found.values())


def _number(header: Header, key: str, module: str, *, lenient: bool) -> float:
    if key in header.unread:
        return nan
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
