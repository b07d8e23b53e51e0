"""What weights files hold beside an adapter, by their headers: files of one header are asked once."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.operations.file_kinds import ADAPTERS, MARKS, MODELS, OTHER, WRAPPED
from lora_convert.storage.folders import weight_files

if TYPE_CHECKING:
    from lora_convert.storage.folders import WeightFiles

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FIRST = 1 << 16
"""Bytes in which most headers end."""
_NAMES = 1 << 20
"""Bytes of a torch file that are looked through: names lie first (torch 2.13, serialization.py)."""
_MAX_HEADER = 100_000_000
_ZIP = b"PK\3\4"


class Held(NamedTuple):
    """What a weights file is, and the bytes of the frozen base in it."""

    kind: str
    frozen: int = 0


class WeightKinds:
    """Answers for one file after another."""

    def __init__(self) -> None:
        self._by_header: dict[bytes, Held] = {}
        self._by_path: dict[str, Held] = {}

    def held(self, path: str) -> Held:
        """What the header of a file says; nothing but that is read, and shards are one model."""
        try:
            weights = weight_files(path)
            if len(weights.files) > 1:
                if path not in self._by_path:
                    self._by_path.update(_detected(weights))
                return self._by_path[path]
            head = _head(path)
        except (OSError, ValueError, LookupError):  # broken, or gone: its name is all there is
            return Held(ADAPTERS)
        if head.startswith(_ZIP):
            return _told(weights, head)
        if head not in self._by_header:
            self._by_header[head] = _told(weights, head)
        return self._by_header[head]


def _told(weights: WeightFiles, head: bytes) -> Held:
    if WRAPPED in head:
        return _detected(weights).get(weights.path, Held(ADAPTERS))
    if not head:
        return Held(OTHER)
    return Held(ADAPTERS if any(mark in head.lower() for mark in MARKS) else MODELS)


def _head(path: str) -> bytes:
    """The names in a file of weights; empty where it is none."""
    descriptor = os.open(path, _FLAGS)
    try:
        data = os.read(descriptor, _FIRST)
        if data.startswith(_ZIP):
            return data + os.read(descriptor, _NAMES - len(data))
        if data[8:9] != b"{":
            return b""
        (length,) = struct.unpack("<Q", data[:8])
        if length > _MAX_HEADER:
            return b""
        while len(data) < 8 + length:
            more = os.read(descriptor, 8 + length - len(data))
            if not more:
                break
            data += more
        return data[: 8 + length]
    finally:
        os.close(descriptor)


def _detected(weights: WeightFiles) -> dict[str, Held]:
    """By each file of a checkpoint: whether an adapter is in it, and its bytes that are frozen."""
    from lora_convert.conversion.detect import detect
    from lora_convert.conversion.spelling import BASE
    from lora_convert.errors import LoraConvertError
    from lora_convert.storage.checkpoint import Checkpoint
    from lora_convert.tensors.source import Source, Strided

    try:
        with Checkpoint(weights) as checkpoint:
            detection = detect(checkpoint.header)
            tensors = checkpoint.header.tensors
    except LoraConvertError:
        return dict.fromkeys(weights.files, Held(ADAPTERS))
    base = [tensors[key] for key, reading in detection.readings.items() if reading.role == BASE]
    stored = [tensor.of if isinstance(tensor, Strided) else tensor for tensor in base]
    frozen = [0] * len(weights.files)
    for number, _, size in {(t.file, t.start, t.size) for t in stored if isinstance(t, Source)}:
        frozen[number] += size
    known = detection.format is not None or bool(detection.known_as)
    return {
        path: Held(ADAPTERS if known else MODELS, count)
        for path, count in zip(weights.files, frozen, strict=True)
    }
