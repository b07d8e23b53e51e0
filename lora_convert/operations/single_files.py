"""A base in one file, as Diffusers reads it: made into a pipeline once, and kept in a cache."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lora_convert.errors import (
    CorruptCheckpointError,
    DestinationExistsError,
    MissingExtraError,
    OptionError,
)
from lora_convert.storage.atomic import staged_folder, sync_folder
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.documents import read_document
from lora_convert.storage.folders import INDEX_NAME, weight_files
from lora_convert.storage.pipelines import is_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

_DTYPES = {"F16": "float16", "BF16": "bfloat16"}
_DOCUMENTS = ["*.json", "*.txt", "*.model", "*/*.json", "*/*.txt", "*/*.model"]


def pipeline_of(path: str, config: str | None, from_hub: Callable[..., str]) -> str:
    """The folder of a pipeline with the weights of a checkpoint in one file.

    `config` gives what such a file lacks, tokenizers and configurations: the folder of a pipeline or a
    repository, got by `from_hub`. The pipeline is made by Diffusers, once for each state of the file.
    """
    if config is None:
        raise OptionError(
            "config",
            "",
            why=f"{path} has neither tokenizer nor configuration",
            hint="--config DIR|REPO: a pipeline of the same architecture",
        )
    folder = config if os.path.isdir(config) else from_hub(config, _DOCUMENTS)
    if not is_pipeline(folder):
        raise OptionError("config", config, why=f"it has no {INDEX_NAME}", hint="give a pipeline")
    kept = os.path.join(_cache(), "bases", _state(path, folder))
    if not is_pipeline(kept):
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        with staged_folder(kept) as staged:
            _make(path, folder, staged.path)
            for place, _, _ in os.walk(staged.path):
                sync_folder(place)
            with suppress(DestinationExistsError):  # another process made the same
                staged.publish(replace=False)
    return kept


def _cache() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "lora-convert")


def _state(path: str, config: str) -> str:
    """A name that another file, another state of it or another configuration does not have."""
    status = os.stat(path)
    index = os.stat(os.path.join(config, INDEX_NAME))
    said = (
        os.path.realpath(path),
        status.st_size,
        status.st_mtime_ns,
        os.path.realpath(config),
        index.st_mtime_ns,
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()[:32]


def _make(path: str, config: str, output: str) -> None:
    try:
        import diffusers
        import torch
    except ImportError as error:
        raise MissingExtraError("a base in one file", "diffusers") from error
    with Checkpoint(weight_files(path)) as checkpoint:  # read by our own rules first
        dtypes = Counter(tensor.dtype for tensor in checkpoint.header.tensors.values())
    if checkpoint.container != "safetensors":
        raise OptionError(
            "base", path, why="Diffusers would unpickle it", hint="save it as safetensors"
        )
    index: Any = read_document(os.path.join(config, INDEX_NAME))
    name = index.get("_class_name", "") if isinstance(index, dict) else ""
    kind: Any = getattr(diffusers, str(name), None)
    if not hasattr(kind, "from_single_file"):
        raise OptionError("config", config, why=f"{name} is not read from one file by Diffusers")
    dtype = getattr(torch, _DTYPES.get(dtypes.most_common(1)[0][0], "float32"))
    try:
        made = kind.from_single_file(path, config=config, local_files_only=True, torch_dtype=dtype)
    except Exception as error:  # another library's: of any type
        problem = (
            f"Diffusers cannot read it as {name}: {next(iter(str(error).splitlines()), '')[:200]}"
        )
        raise CorruptCheckpointError(
            path, problem, hint="is --config of its architecture?"
        ) from error
    made.save_pretrained(output)
