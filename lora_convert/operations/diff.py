"""How two adapters differ, module by module: distance, direction, strength, use of the rank."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.algorithms import ALGORITHMS, factors_of
from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.recast import change_of
from lora_convert.conversion.translate import translate
from lora_convert.operations.approximating import Change
from lora_convert.operations.comparing import compare
from lora_convert.operations.editing import AS_TOLD
from lora_convert.operations.origins import PROVENANCE
from lora_convert.operations.proving import Proof, proof_of
from lora_convert.operations.reading import read_adapter_of
from lora_convert.storage.joined import Joined
from lora_convert.storage.probe import ByteFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.adapter import Adapter, Delta
    from lora_convert.operations.opening import Opened
    from lora_convert.operations.reading import Found, Reading
    from lora_convert.tensors.evaluate import Read
    from lora_convert.tensors.expr import Expr

_ENERGY = 0.99
"""Share of ‖ΔW‖² that decides how much of a rank is used."""


class Side(NamedTuple):
    """A module of one of the two."""

    algorithm: str
    rank: int | None
    """The largest that ΔW can have; None where that is any."""
    used: int | None
    """The lowest rank that has 99 % of ‖ΔW‖²; None where ΔW can have any."""
    scale: float
    norm: float | None
    """‖ΔW‖, Frobenius, scale included; of a DoRA before the rescaling; None where it needs the base."""


class ModuleDifference(NamedTuple):
    """How a module of the second differs from that of the first."""

    module: str
    first: Side | None
    """None where it has no such module."""
    second: Side | None
    distance: float | None
    """‖ΔW₁ − ΔW₂‖ / ‖ΔW₁‖, and what else acts likewise, as `verify` has it; None where one is missing."""
    cosine: float | None
    """Of the angle between both ΔWs: 1 where only their strengths differ; None where one has none."""

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        sides = {"first": self.first, "second": self.second}
        shown = {name: side._asdict() if side else None for name, side in sides.items()}
        return {**self._asdict(), **shown}


class AdapterDifference(NamedTuple):
    """How two adapters differ."""

    modules: tuple[ModuleDifference, ...]
    """In the first one's order, in Diffusers' names."""
    headers: Mapping[str, tuple[Any, Any]]
    """What is said of both, where it differs: format, architecture, components, ranks, metadata."""
    proof: Proof
    """What `verify` says."""

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {
            "equal": self.proof.equal,
            "worst": self.proof.as_json()["worst"],
            "headers": {name: list(pair) for name, pair in self.headers.items()},
            "modules": [module.as_json() for module in self.modules],
        }


def diff(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    reading: Reading = AS_TOLD,
) -> AdapterDifference:
    """Compare two files or folders of any formats, module by module.

    Of LoRAs ΔW is never built; of other algorithms a block of rows at a time.
    """
    with ExitStack() as closing:
        opened = [reading.opened(os.fspath(path), closing) for path in (first, second)]
        joined = Joined(*(one.checkpoint for one in opened))
        facts = ByteFacts(joined.read)
        found, named, start = [], [], 0
        for one in opened:
            with one.naming():
                read = partial(
                    read_adapter_of, wanted=reading.adapter, scale_from=reading.scale_from
                )
                found.append(read(one, first_file=start))
                name = one.detection.architecture
                architecture = ARCHITECTURES[name] if name else None
                named.append(translate(found[-1].adapter, architecture, "diffusers", facts))
            start += len(one.checkpoint.files)
        comparison = compare(named[0], named[1], facts, joined.read)
        relative = {one.module: one.relative for one in comparison.differences}
        both = [{delta.label: delta for delta in adapter.deltas} for adapter in named]
        labels = dict.fromkeys((*both[0], *both[1]))
        modules = tuple(
            _module(label, both[0].get(label), both[1].get(label), relative[label], joined.read)
            for label in labels
        )
        joined.check_unchanged()
        return AdapterDifference(modules, _headers(opened, found), proof_of(comparison))
    raise AssertionError  # the stack swallows nothing


def _module(
    label: str, one: Delta | None, other: Delta | None, relative: float, read: Read
) -> ModuleDifference:
    sides = [_side(delta, read) if delta else None for delta in (one, other)]
    if not (one and other):
        return ModuleDifference(label, sides[0], sides[1], None, None)
    return ModuleDifference(
        label,
        sides[0],
        sides[1],
        None if relative == float("inf") else relative,
        _cosine(_change(one), _change(other), read),
    )


def _change(delta: Delta) -> Expr | None:
    """ΔW, from factors in float64; None where it takes the base weight."""
    algebra = ALGORITHMS[delta.algorithm].algebra
    return change_of(delta) if algebra.change(factors_of(delta)) is not None else None


def _side(delta: Delta, read: Read) -> Side:
    import numpy

    from lora_convert.tensors.cutting import singular_values
    from lora_convert.tensors.norms import inner_product

    change, value = _change(delta), delta.scale.value
    if change is None:
        return Side(delta.algorithm, None, None, value, None)
    if not ALGORITHMS[delta.algorithm].ranks:
        norm = sqrt(max(inner_product(change, change, read), 0.0))
        return Side(delta.algorithm, None, None, value, norm)
    energy = numpy.cumsum(numpy.square(singular_values(change, read)))
    used = int(numpy.searchsorted(energy, _ENERGY * energy[-1])) + 1 if energy[-1] else 0
    most = Change(change, 1.0).rank
    return Side(delta.algorithm, most, used, value, sqrt(float(energy[-1])))


def _cosine(one: Expr | None, other: Expr | None, read: Read) -> float | None:
    from lora_convert.tensors.norms import inner_product

    if one is None or other is None:
        return None
    if one.shape[0] != other.shape[0] or prod(one.shape) != prod(other.shape):
        return None
    norms = inner_product(one, one, read) * inner_product(other, other, read)
    if norms <= 0:
        return None
    return max(-1.0, min(1.0, inner_product(one, other, read) / sqrt(norms)))


def _headers(opened: list[Opened], found: list[Found]) -> dict[str, tuple[Any, Any]]:
    """What is said of both where it differs."""
    said = [_said(one, other.adapter) for one, other in zip(opened, found, strict=True)]
    names = dict.fromkeys((*said[0], *said[1]))
    pairs = {name: (said[0].get(name), said[1].get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _said(opened: Opened, adapter: Adapter) -> dict[str, Any]:
    dtypes = {tensor.dtype for delta in adapter.deltas for tensor in delta.tensors.values()}
    return {
        "format": opened.detection.format,
        "architecture": opened.detection.architecture,
        "components": [*adapter.components],
        "modules": len(adapter.deltas),
        "dtypes": sorted(dtypes),
        "scale_source": sorted({delta.scale_source for delta in adapter.deltas}),
        "base_model": adapter.base_model or None,
        **{
            f"metadata.{name}": value
            for name, value in adapter.metadata.items()
            if name != PROVENANCE  # two are never from one file but where one is the other's
        },
    }
