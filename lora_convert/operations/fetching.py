"""What is fetched of a repository: the files that are read, and no others."""

from __future__ import annotations

import posixpath
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from lora_convert.operations.opening import open_adapter
from lora_convert.storage.documents import places_of_documents
from lora_convert.storage.folders import INDEX_NAME, is_weights, weight_files
from lora_convert.storage.hub import fetched, is_file_there, missing, names_in_repository
from lora_convert.storage.hub_address import HubAddress, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def normal(address: str) -> str:
    """An address as it is spelled here. HubNotFoundError for a folder that is not there."""
    where = parsed(address)
    names = () if where.names_a_file else names_in_repository(where)
    if where.path and names and not any(f"{name}/".startswith(f"{where.path}/") for name in names):
        raise missing(address)
    return str(where)


def weights_below(address: str) -> list[str]:
    """The files of weights in a folder of a repository and below, by name."""
    where = parsed(address)
    names = [name for name in names_in_repository(where) if is_weights(posixpath.basename(name))]
    inside = f"{where.path}/" if where.path else ""
    found = sorted(name for name in names if name.startswith(inside))
    return [str(where._replace(path=name)) for name in found]


def fetched_adapter(address: str) -> str:
    """The copy in the cache of the adapter at an address, a file or folder, and of the documents beside it.

    Which of a folder's files it is is told from afar, as of a folder on the disk. Errors as of
    `open_adapter`, and HubError.
    """
    where = parsed(normal(address))
    if where.names_a_file:
        weights = weight_files(str(where))
    else:
        with open_adapter(str(where), from_afar=True).checkpoint as checkpoint:
            weights = checkpoint.weights
    paths = [parsed(file).path for file in weights.files]
    at = parsed(weights.path).path
    listed = [at] if at not in paths and is_file_there(weights.path) else []  # an index
    folder = fetched(where, [*listed, *paths, *_documents(where, paths)])
    return f"{folder}/{at}" if at else folder


def fetched_model(address: str, patterns: Iterable[str], others: Iterable[str]) -> str:
    """The copy in the cache of a whole model at an address: a pipeline, one file, one component's.

    Of a pipeline all files are fetched that `patterns` name, and `others` do not.
    """
    where = parsed(normal(address))
    inside = f"{where.path}/" if where.path else ""
    names = names_in_repository(where)
    if inside + INDEX_NAME not in names:
        return fetched_adapter(address)
    wanted = [
        name
        for name in sorted(names)
        if name.startswith(inside)
        and any(fnmatch(name[len(inside) :], pattern) for pattern in patterns)
        and not any(fnmatch(name[len(inside) :], pattern) for pattern in others)
    ]
    folder = fetched(where, wanted)
    return f"{folder}/{where.path}" if where.path else folder


def _documents(where: HubAddress, paths: Iterable[str]) -> Iterator[str]:
    """Those that may say scales, where the repository has them."""
    names = names_in_repository(where)
    for path in paths:
        yield from (name for name in places_of_documents(path, names) if name in names)
