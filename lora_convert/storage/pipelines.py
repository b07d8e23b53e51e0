"""A Diffusers pipeline on the disk: a folder for each component, and ``model_index.json``."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.storage.documents import read_document
from lora_convert.storage.folders import (
    INDEX,
    INDEX_NAME,
    SUFFIXES,
    WeightFiles,
    names_in,
    weight_files,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_WEIGHTS = re.compile(r"(diffusion_pytorch_model|model|pytorch_model)(\.[\w-]+)??$")
"""Stem of a component's weights, with the variant's name if any (diffusers 0.42, utils/constants.py)."""
_SHARD = re.compile(r"(-\d+-of-\d+)")
_OTHER_WEIGHTS = (".msgpack", ".h5", ".onnx", ".onnx_data", ".ot", ".gguf", ".tflite")


class ComponentFolder(NamedTuple):
    """One component of a pipeline."""

    name: str
    folder: str
    weights: WeightFiles | None
    """None for tokenizers, schedulers and the like."""
    documents: tuple[str, ...]
    """Names of its other files, below `folder`."""


class Pipeline(NamedTuple):
    """A pipeline's components, in the order of its index, and the documents beside them."""

    path: str
    components: Mapping[str, ComponentFolder]
    documents: tuple[str, ...]

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Components that the index lists and the folder has not."""
        return tuple(name for name, found in self.components.items() if not found.folder)


def is_pipeline(path: str) -> bool:
    """Whether a path is the folder of a pipeline."""
    return os.path.isfile(os.path.join(path, INDEX_NAME))


def read_pipeline(path: str) -> Pipeline:
    """The pipeline in a folder; CorruptCheckpointError where its index is broken.

    Of several files of one component's weights one is taken: safetensors before torch's, no variant
    before a variant. Components that the index lists as null are none.
    """
    if not os.path.isdir(path):
        raise CheckpointNotFoundError(path)
    if not is_pipeline(path):
        raise CheckpointNotFoundError(
            path,
            f"{path}: is no pipeline: it has no {INDEX_NAME}",
            hint="give the folder of a Diffusers pipeline",
        )
    index = read_document(os.path.join(path, INDEX_NAME))
    if not isinstance(index, dict):
        raise CorruptCheckpointError(os.path.join(path, INDEX_NAME), "is not a JSON object")
    components = {
        name: _component(path, name)
        for name, value in index.items()
        if not name.startswith("_") and isinstance(value, list) and any(value)
    }
    documents = [name for name in names_in(path) if os.path.isfile(os.path.join(path, name))]
    return Pipeline(path, components, tuple(sorted(filter(_is_document, documents))))


def _component(path: str, name: str) -> ComponentFolder:
    if os.path.basename(name) != name or name in {".", ".."}:
        raise CorruptCheckpointError(path, f"its index names the component {name!r}")
    folder = os.path.join(path, name)
    if not os.path.isdir(folder):
        raise CorruptCheckpointError(path, f"its index names {name}, which is not there")
    names = sorted(names_in(folder))
    chosen = min(filter(_is_weights, names), key=_preference, default=None)
    weights = weight_files(os.path.join(folder, chosen)) if chosen else None
    documents = tuple(
        os.path.relpath(os.path.join(where, file), folder)
        for where, _, files in os.walk(folder)
        for file in sorted(files)
        if _is_document(file)
    )
    return ComponentFolder(name, folder, weights, documents)


def _is_weights(name: str) -> bool:
    stem = name.removesuffix(INDEX)
    suffix = next((suffix for suffix in SUFFIXES if stem.endswith(suffix)), None)
    return suffix is not None and _WEIGHTS.fullmatch(stem.removesuffix(suffix)) is not None


def _preference(name: str) -> tuple[bool, bool, str]:
    stem = name.removesuffix(INDEX)
    torch = not stem.endswith(SUFFIXES[0])
    return torch, "." in os.path.splitext(stem)[0], name


def _is_document(name: str) -> bool:
    stem = name.removesuffix(INDEX)
    return not stem.endswith((*SUFFIXES, *_OTHER_WEIGHTS)) and not name.startswith(".")


def plain_name(name: str) -> str:
    """A weights file's name as Diffusers looks for it by itself: of the container we write, no variant."""
    stem = _SHARD.sub("", os.path.basename(name).removesuffix(INDEX))
    base = stem.partition(".")[0]
    return f"{'model' if base == 'pytorch_model' else base}{SUFFIXES[0]}"
