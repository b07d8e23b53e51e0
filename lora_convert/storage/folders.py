"""Which files of a folder are a checkpoint."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.storage.compacted import as_before
from lora_convert.storage.documents import read_document
from lora_convert.storage.leftovers import is_temporary
from lora_convert.storage.places import is_file, is_folder, is_hub

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
"""What weights files are called, the likelier first; a file's content decides what it is."""
INDEX = ".index.json"
"""What follows the suffix in the name of a list of shards."""
INDEX_NAME = "model_index.json"
"""The document that makes a folder a pipeline."""
_SHARD = re.compile(r"-\d+-of-\d+(?=\.\w+$)")
_RANKED = ("adapter_model", "pytorch_lora_weights", "model")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows takes for devices, in any folder."""
_STATE = re.compile(
    r"optimizer|scheduler|scaler|rng_state|random_states|training_args|custom_checkpoint"
    r"|zero_pp_rank.*optim_states|bf16_zero"
)
"""Beginnings of what trainers keep beside weights in files of the same kinds."""


class WeightFiles(NamedTuple):
    """Files that are read as one checkpoint: one, the shards of an index, or the parts of a folder."""

    path: str
    """What stands for them all: the file, the index, or the folder."""
    files: tuple[str, ...]
    """Empty where an index is broken; opening it tells why."""
    parts: tuple[str, ...]
    """The subfolder of each file, or an empty string."""
    arrangement: str
    """Words around the container's name: ``{}``, ``sharded {}`` or ``folder of {}``."""
    promised: tuple[str, ...] = ()
    """Tensors that an index says are there."""


NO_FILES = WeightFiles("memory", (), (), "memory")
"""What an adapter made in memory is read from."""


def weight_files(path: str) -> WeightFiles:
    """The files of a checkpoint given by a file's path; an index gives its shards, and so does a shard."""
    if path.endswith(tuple(suffix + INDEX for suffix in SUFFIXES)):
        return _sharded(path)
    folder, name = os.path.split(path)
    index = os.path.join(folder, _SHARD.sub("", name) + INDEX)
    if _SHARD.search(name) and is_file(index):
        whole = _sharded_if_sound(index)
        if path in whole.files:
            return whole
    return WeightFiles(path, (path,), ("",), "{}")


def ranked_weights(
    folder: str, *, own_name: Callable[[str], str] | None = None
) -> list[list[WeightFiles]]:
    """The checkpoints in a folder, the likeliest first; those of one rank stand together.

    The order: ``adapter_model``, ``pytorch_lora_weights``, ``model``, any other; of each name,
    safetensors before torch's containers. `own_name` gives the name of the output of a stem: such a
    file beside its stem's is left away.
    """
    names = [name for name in sorted(names_in(folder)) if not is_state(name)]
    if own_name:
        stems = {_stem(name) for name in names} | {os.path.basename(os.path.abspath(folder))}
        outputs = {own_name(stem) for stem in stems}
        names = [name for name in names if name not in outputs]
    indexes = [name for name in names if name.endswith(INDEX) and _suffix(name)]
    found = {name: _sharded_if_sound(os.path.join(folder, name)) for name in indexes}
    sharded = {os.path.basename(file) for weights in found.values() for file in weights.files}
    for name in names:
        if name.endswith(SUFFIXES) and name not in sharded:
            path = os.path.join(folder, name)
            found[name] = WeightFiles(path, (path,), ("",), "{}")
    better = {_stem(name) for name in found if _suffix(name) == SUFFIXES[0]}
    ranks: dict[tuple[int, bool], list[WeightFiles]] = {}
    for name, weights in found.items():
        worse = _suffix(name) != SUFFIXES[0] and (
            _rank(name) < len(_RANKED) or _stem(name) in better
        )
        ranks.setdefault((_rank(name), worse), []).append(weights)
    return [ranks[rank] for rank in sorted(ranks)]


def parts_of(folder: str, components: Collection[str]) -> WeightFiles | None:
    """The subfolders named as components that hold weights, as one checkpoint."""
    files: list[str] = []
    parts: list[str] = []
    for name in sorted(names_in(folder)):
        inner = os.path.join(folder, name)
        if name in components and is_folder(inner):
            ranked = ranked_weights(inner)
            if (
                ranked
                and len(ranked[0]) == 1
                and _rank(os.path.basename(ranked[0][0].path)) < len(_RANKED)
            ):
                files += ranked[0][0].files
                parts += [name] * len(ranked[0][0].files)
    return WeightFiles(folder, tuple(files), tuple(parts), "folder of {}") if files else None


def subfolders_with_weights(folder: str) -> list[str]:
    """Subfolders that hold weights of the usual names."""
    found = []
    for name in sorted(names_in(folder), key=natural):
        inner = os.path.join(folder, name)
        if is_folder(inner) and not os.path.islink(inner) and any(map(_is_usual, names_in(inner))):
            found.append(inner)
    return found


def _is_usual(name: str) -> bool:
    return name.endswith(SUFFIXES) and _rank(name) < len(_RANKED)


def is_weights(name: str) -> bool:
    """Whether a file's name is that of weights, and no trainer's state."""
    return name.endswith(SUFFIXES) and not is_state(name)


def is_state(name: str) -> bool:
    """Whether a name is that of a trainer's state, which is never safetensors."""
    return _STATE.match(name) is not None and not name.endswith(SUFFIXES[0])


def natural(name: str) -> list[tuple[int, str]]:
    """An order in which checkpoint-500 comes before checkpoint-1000."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def names_in(folder: str) -> list[str]:
    """What lies in a folder, left-overs apart, compacted files under their own names.

    CheckpointNotFoundError where it cannot be listed, HubError where it is on the Hub.
    """
    if is_hub(folder):
        from lora_convert.storage.hub import names_there

        return names_there(folder)
    try:
        return as_before([name for name in os.listdir(folder) if not is_temporary(name)])
    except OSError as error:
        raise CheckpointNotFoundError(
            folder, f"{folder}: cannot be listed: {error.strerror}"
        ) from error


def _suffix(name: str) -> str:
    """Which of the suffixes a weights file's or an index's name has."""
    name = name.removesuffix(INDEX)
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def _stem(name: str) -> str:
    return name.removesuffix(INDEX).removesuffix(_suffix(name))


def _rank(name: str) -> int:
    stem = _stem(name).removeprefix("pytorch_" if "lora_weights" not in name else "")
    if re.fullmatch(r"model(_fsdp)?(_\d+)?", stem):  # Accelerate's, also of further models
        stem = "model"
    return _RANKED.index(stem) if stem in _RANKED else len(_RANKED)


def _sharded(index: str) -> WeightFiles:
    document = read_document(index)
    names = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(names, dict) or not names:
        raise CorruptCheckpointError(index, "has no weight_map")
    folder = os.path.dirname(index)
    for name in names.values():
        if not isinstance(name, str) or not is_plain(name):
            raise CorruptCheckpointError(
                index,
                f"its weight_map names {name!r}",
                why="a shard must be a file of the index's own folder",
            )
    shards = [os.path.join(folder, name) for name in dict.fromkeys(names.values())]
    parts = ("",) * len(shards)
    return WeightFiles(index, tuple(sorted(shards)), parts, "sharded {}", tuple(names))


def _sharded_if_sound(index: str) -> WeightFiles:
    """The same; without files where the index is broken: it may lie beside what is looked for."""
    try:
        return _sharded(index)
    except CorruptCheckpointError:
        return WeightFiles(index, (), (), "sharded {}")


def is_plain(name: str) -> bool:
    """Whether a name is a file's, under the rules of POSIX and Windows alike."""
    return (
        bool(name)
        and name not in {".", ".."}
        and not set(name) & set("/\\:\0")
        and name.isprintable()
        and name == name.rstrip(" .")
        and not _DEVICE.fullmatch(name)
    )
