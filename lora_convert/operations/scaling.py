"""Collect all that may decide the scales of an open checkpoint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lora_convert.adapter import Scale
from lora_convert.conversion.gather import adapters as adapters_in
from lora_convert.conversion.scales import (
    Module,
    ScaleSources,
    document_configs,
    header_configs,
    of_alpha,
    scale_from,
)
from lora_convert.errors import CheckpointNotFoundError, OptionError
from lora_convert.formats import FORMATS, read_config
from lora_convert.storage.documents import CONFIG, documents_of, read_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lora_convert.adapter import Adapter
    from lora_convert.conversion.gather import Gathered
    from lora_convert.header import Document
    from lora_convert.operations.opening import Opened


def scale_sources(opened: Opened, gathered: Iterable[Gathered], option: str | None) -> ScaleSources:
    """The option, the configurations in the header, in documents and in the payload."""
    gathered = tuple(gathered)
    modules = [entry.as_module for entry in gathered]
    adapters = {entry.adapter for entry in gathered}
    adapter = adapters.pop() if len(adapters) == 1 else ""
    checkpoint = opened.checkpoint
    if option is not None:
        return ScaleSources(_option(option), {}, {})
    format_ = FORMATS[opened.detection.format or ""]
    prefixes = format_.prefixes_for(opened.detection.architecture)
    header = header_configs(checkpoint.header, checkpoint.path, prefixes)
    documents = []
    if format_.scale_in in {"header", "config"} and not _covered(modules, header):
        pairs = dict.fromkeys(zip(checkpoint.weights.files, checkpoint.weights.parts, strict=True))
        documents = [found for file, part in pairs for found in documents_of(file, part, adapter)]
        if format_.scale_in == "header":  # a config beside such a file may be another file's
            documents = [document._replace(beside=False) for document in documents]
    return ScaleSources(
        None,
        header,
        document_configs(documents, modules),
        document_configs(_of_adapter(opened, adapter), modules),
        in_factors=format_.scale_in == "factors",
    )


def _of_adapter(opened: Opened, adapter: str) -> list[Document]:
    """The configurations in the file itself, without those of its other adapters."""
    others = {*adapters_in(opened.detection)} - {adapter, ""}
    documents = opened.checkpoint.header.documents
    return [document for document in documents if document.adapter not in others]


def _covered(modules: Iterable[Module], header: Mapping[str, object]) -> bool:
    return all(module.component in header or "" in header for module in modules)


def _option(text: str) -> Callable[[Module], Scale]:
    """``rank``, ``alpha=N``, ``scale=N`` or the path of a configuration, as a rule."""
    name, equals, number = text.partition("=")
    if text == "rank":
        return lambda module: of_alpha(module.rank, module.rank)
    if equals and name in {"alpha", "scale"}:
        value = _number(text, number)
        if name == "alpha":
            return lambda module: of_alpha(value, module.rank)
        return lambda module: Scale(value, 1.0)
    path = os.path.join(text, CONFIG) if os.path.isdir(text) else text
    if not os.path.exists(path):
        raise CheckpointNotFoundError(
            path, f"--scale-from {text}: no such file, and neither alpha=…, scale=… nor rank"
        )
    data = read_document(path)
    if isinstance(data, dict) and isinstance(data.get("lora"), dict):
        data = data["lora"]
    config = read_config(data, path)
    return lambda module: scale_from(config, module)


def _number(text: str, number: str) -> float:
    from math import isfinite

    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise OptionError("scale-from", text, hint="for example --scale-from alpha=16")
    return value


def notes_on_scales(adapter: Adapter, sources: ScaleSources) -> list[str]:
    """Where scales came from, if not from the tensors themselves, for people."""
    notes = []
    used = {delta.scale_source for delta in adapter.deltas}
    if "config" in used:
        notes += [f"scale from {config.path}" for config in sources.configs.values()]
    if "payload" in used:
        notes += [f"scale from {config.path}" for config in sources.payload.values()]
    if "option" in used:
        notes.append("scale from --scale-from, whatever the file says")
    if "tensor" in used and sources.header:
        notes.append("the header gives scales too; the alpha beside each module was used")
    return notes


def base_changes(sources: ScaleSources) -> list[str]:
    """Initialisations that made an adapter relative to a changed base."""
    configs = [*sources.header.values(), *sources.configs.values(), *sources.payload.values()]
    return sorted({config.base_changed_by for config in configs if config.base_changed_by})
