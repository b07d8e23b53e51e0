"""Where the base of an adapter is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CheckpointNotFoundError, HubError
from lora_convert.operations.runs import runs_in
from lora_convert.storage.pipelines import is_pipeline

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter


class Base(NamedTuple):
    """A base that was found."""

    path: str
    """The folder of its pipeline."""
    name: str
    """What it was called: a path, or the name of a repository."""
    source: str
    """Who said so: ``option``, or the document."""


_PARENTS = 4
"""Folders above a checkpoint's weights in which its run is looked for."""
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
"""What a pipeline is read from; its weights in other containers are left where they are."""


def base_of(adapter: Adapter, checkpoint: str, option: str | None) -> Base:
    """The base that an option, the adapter's own configuration or the checkpoint's run names.

    A folder, or a repository of the Hub: in its cache, else fetched. CheckpointNotFoundError where
    nothing names one, HubError where a repository cannot be had.
    """
    named = {
        "option": option,
        "the adapter's configuration": adapter.base_model,
        "the run": None if option or adapter.base_model else _of_run(checkpoint),
    }
    source, name = next(((who, name) for who, name in named.items() if name), ("", ""))
    if not name:
        raise CheckpointNotFoundError(
            "base", "nothing says what the base of this adapter is", hint="give it with --base"
        )
    if os.path.isdir(name):
        return Base(name, name, source)
    if os.path.exists(name):
        raise CheckpointNotFoundError(
            name, f"{name}: is a file; the base must be the folder of a pipeline", hint="--base DIR"
        )
    return Base(_from_hub(name), name, source)


def _of_run(checkpoint: str) -> str | None:
    """The base that the run names of which a checkpoint is a part."""
    path = os.path.join(os.path.realpath(checkpoint), "")
    folder = path
    for _ in range(_PARENTS):
        folder = os.path.dirname(folder.rstrip(os.sep))
        for run in runs_in(folder) if os.path.isdir(folder) else ():
            parts = [one.path for one in run.checkpoints] + [run.final or run.path]
            inside = (os.path.join(os.path.realpath(part), "") for part in parts)
            if run.base_model and path.startswith(tuple(inside)):
                return run.base_model
    return None


def _from_hub(name: str) -> str:
    """The folder of a repository: from the cache as it is, else fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        cached: str = snapshot_download(name, local_files_only=True, allow_patterns=[*_FILES])
        if is_pipeline(cached):
            return cached
    except HFValidationError as error:
        raise CheckpointNotFoundError(
            name, f"{name}: no such folder, and no name of a repository"
        ) from error
    except LocalEntryNotFoundError:
        pass
    try:
        fetched: str = snapshot_download(name, allow_patterns=[*_FILES])
    except Exception as error:
        raise HubError(
            f"{name}: neither a folder nor in the cache, and cannot be fetched: {_first_line(error)}",
            hint="give the folder of the base with --base",
        ) from error
    return fetched


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
