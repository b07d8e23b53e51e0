"""The files that hold an adapter in a format."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

from lora_convert.algorithms import ALGORITHMS
from lora_convert.conversion.scales import HEADER_KEY
from lora_convert.errors import NotExpressibleError
from lora_convert.formats import (
    MetadataOf,
    ScaleEntry,
    document_fields,
    is_configured,
    write_config,
)
from lora_convert.planning import Loss, TensorFile, TextFile
from lora_convert.tensors.expr import Expr, Scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_convert.adapter import Adapter, Delta
    from lora_convert.conversion.spelling import Spelling


def write(
    adapter: Adapter, target: Spelling, file_name: str
) -> tuple[tuple[TensorFile | TextFile, ...], list[Loss]]:
    """The files for `adapter`, in the target's namespace, and the losses of writing scales.

    `file_name` is the weights file's; several components of a format with parts have one subfolder each.
    """
    _refuse_shared_names(adapter, target)
    losses = [*_alpha_losses(adapter, target), *_reader_losses(adapter, target)]
    if not target.format.parts:
        metadata = _metadata(adapter, target)
        return (TensorFile(file_name, _tensors(adapter.deltas, target), metadata),), losses
    files: list[TensorFile | TextFile] = []
    several = len(adapter.components) > 1
    for component in adapter.components:
        deltas = tuple(delta for delta in adapter.deltas if delta.component == component)
        folder = f"{component}/" if several else ""
        tensors = _tensors(deltas, target, part=component)
        files.append(TensorFile(f"{folder}{file_name}", tensors, _metadata(adapter, target)))
        files.append(
            TextFile(f"{folder}{target.format.document}", _document(deltas, adapter.base_model))
        )
    return tuple(files), losses


def _tensors(deltas: Sequence[Delta], target: Spelling, part: str = "") -> dict[str, Expr]:
    named: dict[str, Expr] = {}
    attentive = {delta.component for delta in deltas if ".self_attn." in delta.module}
    for delta in deltas:
        lone = delta.component.startswith("text_encoder") and delta.component not in attentive
        for role, expr in delta.tensors.items():
            named[_key(delta, role, target, part, lone=lone)] = expr
        if target.format.scale_in == "tensor":
            for role, number in _numbers(delta).items():
                named[_key(delta, role, target, part, lone=lone)] = number
    return named


def _refuse_shared_names(adapter: Adapter, target: Spelling) -> None:
    """Two components of one shape can have one prefix, of which a file holds one component."""
    modules: dict[str, str] = {}
    for delta in adapter.deltas:
        name = target.prefix(delta.component) + delta.module
        other = modules.setdefault(name, delta.component)
        if other != delta.component:
            raise NotExpressibleError(
                f"{target.format.title} has the same names for {other} and {delta.component}",
                why="who loads a file says which of them it is for",
                hint="write a file of each, for example from the subfolders that --to peft makes",
            )


def _numbers(delta: Delta) -> dict[str, Expr]:
    """The numbers that stand beside a module's tensors, by role."""
    algorithm = ALGORITHMS[delta.algorithm]
    numbers: dict[str, Expr] = {}
    if algorithm.alpha == "scale":
        # LyCORIS cannot load a module without one, even where it means nothing (modules/lokr.py)
        numbers["alpha"] = Scalar(_single(_alpha(delta)) if _rank(delta) else 1.0, "F32")
    if algorithm.alpha == "constraint":
        numbers["alpha"] = Scalar(_single(delta.settings.get("constraint", 0.0)), "F32")
    if "ia3_weight" in delta.tensors:
        numbers["on_input"] = Scalar(delta.settings["on_input"], "I64")
    return numbers


def _rank(delta: Delta) -> int:
    """What alpha is divided by; 0 where it has no meaning."""
    return ALGORITHMS[delta.algorithm].rank(delta.tensors)


def _alpha(delta: Delta) -> float:
    return delta.scale.alpha_at(_rank(delta))


def _key(delta: Delta, role: str, target: Spelling, part: str, *, lone: bool) -> str:
    key = target.spell(delta.component, delta.module, role, lone=lone)
    return key.removeprefix(f"{part}/") if part else key


def _single(value: float) -> float:
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError as error:
        raise NotExpressibleError(
            f"an alpha of {value:g} does not fit into fp32",
            hint="say the right one, for example with --scale-from scale=1",
        ) from error
    return rounded


def _alpha_losses(adapter: Adapter, target: Spelling) -> list[Loss]:
    if target.format.scale_in != "tensor":
        return []
    alphas = [_alpha(delta) for delta in adapter.deltas if _rank(delta)]
    alphas += [d.settings["constraint"] for d in adapter.deltas if "constraint" in d.settings]
    rounded = sum(_single(alpha) != alpha for alpha in alphas)
    if not rounded:
        return []
    return [Loss("alpha rounded", f"{rounded} modules: alpha has no exact fp32 value", rounded)]


def _reader_losses(adapter: Adapter, target: Spelling) -> list[Loss]:
    """What the format can spell and its own reader never loads."""
    unread = target.format.unread.get(target.name or "", ())
    losses = []
    for component in unread:
        count = sum(delta.component == component for delta in adapter.deltas)
        if count:
            detail = (
                f"{target.format.name} never loads {component} of {target.name}: {count} modules"
            )
            losses.append(Loss("reader gap", detail, count))
    return losses


def _metadata(adapter: Adapter, target: Spelling) -> dict[str, str]:
    """``format: pt``, what travelled with the adapter, and the format's own."""
    metadata = {**adapter.metadata, "format": "pt"}
    if target.format.scale_in == "header":
        metadata[HEADER_KEY] = _header_document(adapter, target)
    if target.format.metadata:
        ranked = [delta for delta in adapter.deltas if _rank(delta)]
        ranks, alphas = tuple(map(_rank, ranked)), tuple(map(_alpha, ranked))
        metadata |= target.format.metadata(
            MetadataOf(target.name, adapter.deltas, alphas, ranks, adapter.metadata)
        )
    return metadata


def _config(deltas: Sequence[Delta], *, flat: bool) -> dict[str, object]:
    """A configuration of one component.

    `flat` leaves CLIP's ``text_model.`` away: the only spelling that readers on transformers 4 and 5 share.
    """
    entries = [
        ScaleEntry(
            delta.module.removeprefix("text_model.") if flat else delta.module,
            _rank(delta),
            delta.scale,
            {role: tensor.shape for role, tensor in delta.tensors.items()},
            delta.settings,
        )
        for delta in deltas
        if is_configured(delta.algorithm)
    ]
    biased = any("bias" in delta.tensors for delta in deltas)
    return write_config(deltas[0].algorithm, entries, bias=biased)


def _header_document(adapter: Adapter, target: Spelling) -> str:
    """An entry for every component that is present: a missing one fails the whole load."""
    fields: dict[str, object] = {}
    for component in adapter.components:
        deltas = [
            delta
            for delta in adapter.deltas
            if delta.component == component and is_configured(delta.algorithm)
        ]
        prefix = target.prefix(component)
        if not deltas:
            continue
        fields |= {f"{prefix}{name}": value for name, value in _config(deltas, flat=True).items()}
    return json.dumps(fields, sort_keys=True)


def _document(deltas: Sequence[Delta], base_model: str) -> str:
    """``adapter_config.json``, with what ``PeftModel.from_pretrained`` asks for."""
    fields: dict[str, object] = {
        **document_fields(deltas[0].algorithm),
        "task_type": None,
        "base_model_name_or_path": base_model or None,
        "inference_mode": True,
        **_config(deltas, flat=False),
    }
    return json.dumps(fields, indent=2, sort_keys=True) + "\n"
