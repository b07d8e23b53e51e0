"""JSON documents beside checkpoints, read as data."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.header import Document
from lora_convert.storage.files import SourceFile
from lora_convert.storage.places import is_file, is_hub, is_root, on_disk

MAX_DOCUMENT = 16 << 20
"""Bytes: many times the largest configuration."""
_MAX_LINE = 1 << 20

CONFIG = "adapter_config.json"
_PARENTS = 3
_RUN_DOCUMENTS = (f"lora_weights/{CONFIG}", "run.json")


def read_document(path: str) -> object:
    """The JSON in a file; CorruptCheckpointError where there is none."""
    file = SourceFile(on_disk(path))
    try:
        if file.size > MAX_DOCUMENT:
            raise CorruptCheckpointError(
                path, f"has {file.size:,} bytes; the limit is {MAX_DOCUMENT:,}"
            )
        text = file.read(0, file.size)
    finally:
        file.close()
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptCheckpointError(path, "is not valid JSON") from error


def documents_of(weights: str, part: str = "", adapter: str = "") -> list[Document]:
    """What may give scales: ``adapter_config.json`` beside the weights, then a run's own documents.

    Of one of several `adapter`s in the weights it may lie in a folder of its name beside them. A run's
    document that cannot be read is passed over: it may be another tool's.
    """
    folder = os.path.dirname(weights if is_hub(weights) else os.path.abspath(weights))
    for place in dict.fromkeys((os.path.join(folder, adapter), folder)):
        beside = os.path.join(place, CONFIG)
        if is_file(beside) or os.path.lexists(beside):
            return [Document(beside, part, True, read_document(beside))]
    found = []
    for _ in range(_PARENTS):
        if is_root(folder):
            break
        folder = os.path.dirname(folder)
        for name in _RUN_DOCUMENTS:
            path = os.path.join(folder, *name.split("/"))
            if is_file(path):
                try:
                    found.append(Document(path, part, False, read_document(path)))
                except (CorruptCheckpointError, CheckpointNotFoundError):
                    continue
    return found


def places_of_documents(weights: str, names: Iterable[str]) -> Iterator[str]:
    """Where `documents_of` looks, of weights at a path in a repository that has these `names`."""
    folder = posixpath.dirname(weights)
    yield posixpath.join(folder, CONFIG)
    for name in names:
        place, last = posixpath.split(name)
        if last == CONFIG and place and posixpath.dirname(place) == folder:
            yield name
    for _ in range(_PARENTS if folder else 0):
        folder = posixpath.dirname(folder)
        yield from (posixpath.join(folder, name) for name in _RUN_DOCUMENTS)


def read_lines(path: str) -> Iterator[dict[str, object]]:
    """The JSON objects in a file of one a line; a last line that was not finished is left out."""
    with closing(SourceFile(path)) as file:
        number, rest = 0, b""
        for block in file.blocks(0, file.size):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                number += 1
                if line.strip():
                    yield _object(path, number, line)
            if len(rest) > _MAX_LINE:
                raise CorruptCheckpointError(path, f"has a line of more than {_MAX_LINE:,} bytes")
        if rest.strip():
            with suppress(CorruptCheckpointError):
                yield _object(path, number + 1, rest)


def _object(path: str, number: int, line: bytes) -> dict[str, object]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CorruptCheckpointError(path, f"its line {number} is not a JSON object")
    return found
