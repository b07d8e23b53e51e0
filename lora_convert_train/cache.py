"""What encoders made of images and captions, kept by content: never beside the images."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Tensors = dict[str, torch.Tensor]

_HASHES = "hashes.json"


def cache_folder() -> str:
    """``training`` in lora-convert's folder among the user's caches (``XDG_CACHE_HOME``)."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "lora-convert", "training")


def key_of(*parts: object) -> str:
    """A name for what is made of these values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=list).encode()).hexdigest()


class Cache:
    """Tensors by key, in a file each. Several trainings may use one at once."""

    def __init__(self, folder: str = "") -> None:
        self.folder = folder or cache_folder()
        self._loaded: dict[str, Tensors] = {}

    def path(self, key: str) -> str:
        """The file of a key."""
        return os.path.join(self.folder, key[:2], f"{key}.safetensors")

    def has(self, key: str) -> bool:
        """Whether it is kept, and whole."""
        if key not in self._loaded:
            from safetensors import SafetensorError
            from safetensors.torch import load

            try:
                with open(self.path(key), "rb") as file:
                    self._loaded[key] = load(file.read())
            except (OSError, SafetensorError):
                return False
        return True

    def get(self, key: str) -> Tensors:
        """Tensors of a key that it has."""
        if not self.has(key):
            raise KeyError(key)
        return self._loaded[key]

    def put(self, key: str, tensors: Tensors) -> None:
        """Keep tensors; the file appears whole."""
        from safetensors.torch import save

        path = self.path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, save({name: one.contiguous() for name, one in tensors.items()}))
        self._loaded[key] = tensors

    def digest_of(self, path: str) -> str:
        """SHA-256 of a weights file, remembered as long as its size and time are the same."""
        status = os.stat(path)
        known = [os.path.realpath(path), status.st_size, status.st_mtime_ns]
        document = os.path.join(self.folder, _HASHES)
        hashes: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError), open(document, encoding="utf-8") as file:
            hashes = json.load(file)
        state = json.dumps(known)
        if state not in hashes:
            with open(path, "rb") as opened:
                hashes[state] = hashlib.file_digest(opened, "sha256").hexdigest()
            os.makedirs(self.folder, exist_ok=True)
            _write(document, json.dumps(hashes).encode())
        return hashes[state]


def filled(
    cache: Cache, keys: dict[str, int], make: Callable[[list[int]], list[Tensors]], at_once: int
) -> int:
    """Put in what is missing of `keys`, which are by the number of what each is made of; how many were."""
    missing = [(key, number) for key, number in keys.items() if not cache.has(key)]
    for at in range(0, len(missing), at_once):
        part = missing[at : at + at_once]
        made = make([number for _, number in part])
        for (key, _), tensors in zip(part, made, strict=True):
            cache.put(key, tensors)
    return len(missing)


def _write(path: str, data: bytes) -> None:
    descriptor, staged = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(staged, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(staged)
        raise
