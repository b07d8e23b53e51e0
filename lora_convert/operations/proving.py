"""The proof of a conversion: what was written is read as a stranger would and compared with the source."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.detect import detect
from lora_convert.conversion.gather import gather
from lora_convert.conversion.read import read
from lora_convert.conversion.scales import ScaleSources, header_configs
from lora_convert.conversion.translate import translate
from lora_convert.errors import VerificationError
from lora_convert.formats import read_config
from lora_convert.header import Header
from lora_convert.operations.comparing import Comparison, compare
from lora_convert.planning import TensorFile, TextFile
from lora_convert.storage.files import SourceFile
from lora_convert.storage.probe import ByteFacts
from lora_convert.storage.safetensors import read_header, read_scalars
from lora_convert.tensors.build import reshaped
from lora_convert.tensors.expr import Cast, Expr, Reshaped
from lora_convert.tensors.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.adapter import Adapter
    from lora_convert.operations.writing import ConversionPlan


_MOST_ROUNDING = 0.05
"""Relative difference beyond which a narrower dtype has destroyed a module rather than rounded it."""


class Proof(NamedTuple):
    """How the output's ΔW compares with the source's, module by module."""

    modules: int
    worst: float
    """Largest relative difference of ΔW."""
    worst_module: str
    exact: bool
    equal: bool
    """Whether every difference is within the rounding of the dtypes involved."""
    differing: int
    """Modules beyond that."""
    reasons: Mapping[str, int]
    """Why they differ, where more can be said than a number, with the modules concerned."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The documented fields; an infinite difference is null."""
        worst = self.worst if self.worst != float("inf") else None
        return {**self._asdict(), "worst": worst, "reasons": dict(self.reasons)}


def proof_of(comparison: Comparison) -> Proof:
    """A comparison, summed up."""
    worst = comparison.worst
    differing = [difference for difference in comparison.differences if not difference.equal]
    return Proof(
        modules=len(comparison.differences),
        worst=worst.relative if worst else 0.0,
        worst_module=worst.module if worst else "",
        exact=comparison.exact,
        equal=comparison.equal,
        differing=len(differing),
        reasons=Counter(difference.reason for difference in differing if difference.reason),
        seconds=0.0,
    )


def prove(plan: ConversionPlan, files: Sequence[tuple[TensorFile | TextFile, str]]) -> Proof:
    """Read the written files back and compare their adapter with the source's.

    `files` are the planned ones with the paths they lie at now. That their bytes are those of the plan
    has been checked before; here the output's own names, shapes, scalars and configuration are read,
    and each tensor stands for the expression it was written from. Where that ends in a cast, what
    stands before the cast must be equal too: the rest is rounding, element by element.
    """
    header, planned, configs = _read_back(files)
    written = _adapter(plan, header, configs)
    proof = _compared(plan, written, planned)
    if proof.equal or not any(isinstance(expr, Cast) for expr in planned.values()):
        return proof
    before = {name: e.of if isinstance(e, Cast) else e for name, e in planned.items()}
    unrounded = _compared(plan, written, before)
    return (
        proof._replace(equal=True) if unrounded.equal and proof.worst <= _MOST_ROUNDING else proof
    )


def _compared(plan: ConversionPlan, written: Adapter, planned: Mapping[str, Expr]) -> Proof:
    deltas = tuple(
        delta._replace(tensors={role: _planned(t, planned) for role, t in delta.tensors.items()})
        for delta in written.deltas
    )
    name = plan.origin.architecture
    architecture = ARCHITECTURES[name] if name else None
    checkpoint = plan.origin.checkpoint
    facts = ByteFacts(checkpoint.read)
    before = translate(plan.adapter, architecture, "diffusers", facts)
    after = translate(written._replace(deltas=deltas), architecture, "diffusers", facts)
    return proof_of(compare(before, after, facts, checkpoint.read))


def _read_back(
    files: Sequence[tuple[TensorFile | TextFile, str]],
) -> tuple[Header, dict[str, Expr], dict[str, str]]:
    """Header of the written files, the planned expression of each name, and configurations by part."""
    header = Header({}, {}, {})
    planned: dict[str, Expr] = {}
    configs: dict[str, str] = {}
    for number, (file, path) in enumerate(files):
        part, slash, _ = file.name.rpartition("/")
        if isinstance(file, TextFile):
            with open(path, encoding="utf-8") as text:
                configs[part] = text.read()
            continue
        source = SourceFile(path)
        try:
            tensors, metadata = read_header(source, number)
            scalars = read_scalars(source, tensors)
        finally:
            source.close()
        header.metadata.update(metadata)
        for name, tensor in tensors.items():
            header.tensors[part + slash + name] = tensor._replace(name=part + slash + name)
            planned[part + slash + name] = file.tensors[name]
        header.scalars.update({part + slash + name: value for name, value in scalars.items()})
    return header, planned, configs


def _adapter(plan: ConversionPlan, header: Header, configs: Mapping[str, str]) -> Adapter:
    components = plan.adapter.components
    detection = detect(
        header,
        architecture=plan.origin.architecture,
        component=components[0] if len(components) == 1 else None,
    )
    name = plan.target.format.name
    if detection.format != name or detection.unexplained:
        raise VerificationError(
            f"{os.path.basename(plan.destination.path)}: reads back as {detection.format}, not {name}",
            why=f"{len(detection.unexplained)} keys unexplained",
            hint="please report this",
        )
    documents = {
        part: read_config(json.loads(text), "adapter_config.json") for part, text in configs.items()
    }
    prefixes = plan.target.format.prefixes_for(plan.origin.architecture)
    said = header_configs(header, plan.destination.path, prefixes)
    scales = ScaleSources(None, said, documents)
    return read(header, detection, gather(header, detection), scales)


def _planned(expr: Expr, planned: Mapping[str, Expr]) -> Expr:
    match expr:
        case Source():
            return planned[expr.name]
        case Reshaped(Source() as source, shape):
            return reshaped(planned[source.name], shape)
        case _:
            return expr
