"""Where the base of an adapter is."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError, HubError
from lora_convert.operations.addresses import runs_of
from lora_convert.storage.pipelines import is_pipeline, read_pipeline
from lora_convert.storage.places import is_hub

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
    revision: str | None = None
    """The commit of the repository, where it came from one."""


_FILES = ("*.json", "*.txt", "*.model", "*/*.safetensors")
"""What a pipeline is read from; not single files beside the folders, nor weights in other containers."""
_NOT_FILES = ("*.non_ema.*",)
_SHARD = re.compile(r"-\d+-of-\d+\.\w+$")
_COMMIT = re.compile(r"[0-9a-f]{40}")
OPTION = "option"
RUN = "the run"
ADAPTER = "the adapter's configuration"


def base_of(
    adapter: Adapter,
    checkpoint: str,
    given: str | None,
    giver: str = OPTION,
    *,
    config: str | None = None,
) -> Base:
    """The base that is given, or that the checkpoint's run or the adapter's own configuration names.

    A folder, a repository of the Hub, in its cache or else fetched, or a checkpoint in one file with
    `config` for what that lacks. CheckpointNotFoundError where nothing names one, HubError where a
    repository cannot be had, CorruptCheckpointError where a model of the base has no weights.
    """
    source, name = giver, given
    if not name:
        source, name = RUN, _of_run(checkpoint)
    if not name:
        source, name = ADAPTER, adapter.base_model
    if not name:
        raise CheckpointNotFoundError(
            "base", "nothing says what the base of this adapter is", hint="give it with --base"
        )
    return located(name, source, config=config)


def located(name: str, source: str = OPTION, *, config: str | None = None) -> Base:
    """Where a base is that `source` names. Errors as of `base_of`."""
    if os.path.isdir(name):
        check_complete(name)
        return Base(name, name, source)
    if os.path.isfile(name):
        from lora_convert.operations.single_files import pipeline_of

        return Base(pipeline_of(name, config, _documents), name, source)
    folder = cached(name)
    if folder is None and source == ADAPTER:  # a stranger's file opens no connection
        raise CheckpointNotFoundError(
            name,
            f"{name}: the adapter names this base, and it is not in the Hub's cache",
            hint=f"--base {name} fetches it",
        )
    folder = folder or _fetched(name)
    revision = os.path.basename(os.path.normpath(folder))
    return Base(folder, name, source, revision if _COMMIT.fullmatch(revision) else None)


def model_at(path: str) -> str:
    """A model's path; where it is an address on the Hub, that of its copy in the cache. HubError."""
    if not is_hub(path):
        return path
    from lora_convert.operations.fetching import fetched_model

    return fetched_model(path, _FILES, _NOT_FILES)


def check_complete(folder: str) -> None:
    """Raise CorruptCheckpointError where a model has a configuration and not all of its weights.

    One shard alone is not all: lists of shards that have a variant's name are not read.
    """
    try:
        for part in read_pipeline(folder).components.values():
            if part.weights is None and "config.json" in part.documents:
                raise CorruptCheckpointError(part.folder, "has a configuration and no weights")
            alone = part.weights and len(part.weights.files) == 1
            if part.weights and alone and _SHARD.search(part.weights.path):
                raise CorruptCheckpointError(part.weights.path, "is a shard, and no index lists it")
    except CorruptCheckpointError as error:
        error.hint = error.hint or "give another base with --base, or get it again"
        raise


def _of_run(checkpoint: str) -> str | None:
    """The base that the run names of which a checkpoint is a part."""
    return next((run.base_model for run in runs_of(checkpoint) if run.base_model), None)


def cached(name: str) -> str | None:
    """The folder that the Hub's cache has of a repository, where all of a pipeline is in it.

    CheckpointNotFoundError where no repository can have that name.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found: str = snapshot_download(name, local_files_only=True)
        check_complete(found)
    except HFValidationError as error:
        raise CheckpointNotFoundError(
            name,
            f"{name}: no such folder, and no name of a repository",
            hint="give the folder of the base with --base",
        ) from error
    except (LocalEntryNotFoundError, CorruptCheckpointError, CheckpointNotFoundError):
        return None
    return found


def _documents(name: str, patterns: list[str]) -> str:
    """The folder of a repository with the files that patterns name: from the cache, else fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found: str = snapshot_download(name, local_files_only=True, allow_patterns=patterns)
    except LocalEntryNotFoundError:
        found = ""
    except Exception as error:
        raise _unreachable(name, error, "--config") from error
    if is_pipeline(found):
        return found
    try:
        found = snapshot_download(name, allow_patterns=patterns)
    except Exception as error:
        raise _unreachable(name, error, "--config") from error
    return found


def _unreachable(name: str, error: Exception, option: str) -> HubError:
    from lora_convert.storage.hub_errors import hub_error

    hint = f"give the folder of a pipeline with {option}"
    found = hub_error(error, f"hf://{name}")
    if found is None:
        problem = f"neither a folder nor in the cache, and cannot be fetched: {_first_line(error)}"
        return HubError(f"{name}: {problem}", hint=hint)
    found.hint = f"{found.hint}; or {hint}"
    return found


def _fetched(name: str) -> str:
    from huggingface_hub import snapshot_download

    try:
        fetched: str = snapshot_download(
            name, allow_patterns=[*_FILES], ignore_patterns=[*_NOT_FILES]
        )
        check_complete(fetched)
    except Exception as error:
        raise _unreachable(name, error, "--base") from error
    return fetched


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
