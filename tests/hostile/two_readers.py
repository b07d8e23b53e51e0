"""What the libraries of both containers read of a file, beside what is read here."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

import safetensors

from lora_convert.errors import CorruptCheckpointError
from lora_convert.storage import torch_zip
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.files import SourceFile
from lora_convert.storage.pickled import Named, Record, Tensor
from lora_convert.storage.unpickling import unpickle
from lora_convert.storage.zip_entries import read_entries
from lora_convert.tensors.evaluate import computed_blocks
from lora_convert.tensors.expr import Held


class DifferenceError(Exception):
    """Two readers of one file found different things."""


def check_torch(data: bytes, path: str) -> str:
    """What torch made of a file that was accepted; DifferenceError where it found other values."""
    torch = sys.modules.get("torch")
    if torch is None:
        return ""
    try:
        theirs = torch.load(BytesIO(data), weights_only=True)
    except Exception as error:  # noqa: BLE001  # of any kind: another reader's
        return f"torch refuses: {_first_words(error)}"
    file = SourceFile(path)
    try:
        entries = read_entries(file)
        pickle = torch_zip._pickle(file, entries)
        prefix = pickle.name.removesuffix("data.pkl") + "data/"
        stored = {n.removeprefix(prefix): e for n, e in entries.items() if n.startswith(prefix)}
        views = torch_zip._Views(file, 0, stored)
        ours, _ = unpickle(file.read(pickle.start, pickle.size), path)
        _compare(ours, theirs, lambda tensor: _of_view(views, tensor), set())
    finally:
        file.close()
    return "the same as torch"


def bytes_of(tensor: Any, checkpoint: Checkpoint) -> bytes:
    if isinstance(tensor, Held):
        return tensor.data
    if tensor.dtype in {"F4", "F6_E2M3", "F6_E3M2"}:
        return b"".join(checkpoint.files[0].blocks(tensor.start, tensor.size))
    return b"".join(computed_blocks(tensor, checkpoint.read))


def check_safetensors(data: bytes, ours: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    theirs = {
        name: (given["dtype"], tuple(given["shape"]), bytes(given["data"]))
        for name, given in safetensors.deserialize(data)
    }
    if ours != theirs:
        raise DifferenceError(f"{ours} {theirs}"[:2000])


def _of_view(views: Any, tensor: Tensor) -> tuple[str, bytes] | None:
    """Dtype and bytes of a tensor; None where safetensors has no such dtype."""
    try:
        stored = views.stored("x", tensor)
    except CorruptCheckpointError:
        return None
    file = views.file
    return stored.dtype, b"".join(
        computed_blocks(stored, lambda extent: file.read(extent.start, extent.size))
    )


def _compare(ours: Any, theirs: Any, of_view: Callable[[Tensor], Any], seen: set[int]) -> None:
    """Raise DifferenceError where plain values or tensors differ; inert records are passed over."""
    import torch

    if id(theirs) in seen or isinstance(ours, (Record, Named)):
        return
    if isinstance(theirs, torch.Tensor):
        _compare_tensors(ours, theirs, of_view)
    elif isinstance(theirs, (dict, list, tuple)):
        seen.add(id(theirs))
        if isinstance(ours, (dict, list, tuple)):
            for one, other in _pairs(ours, theirs):
                _compare(one, other, of_view, seen)
    elif type(theirs) in {int, float, str, bytes}:
        both_nan = ours != ours and theirs != theirs
        if ours != theirs and not both_nan:
            raise DifferenceError(f"{ours!r:.300} and {theirs!r:.300}")


def _pairs(ours: Any, theirs: Any) -> list[tuple[Any, Any]]:
    """What stands at the same place; of a dict, what has a key that is kept as it is, or a number."""
    if isinstance(theirs, dict):
        numbers_last = sorted(theirs, key=lambda key: not isinstance(key, str))
        texts = {str(key): key for key in numbers_last if isinstance(key, (str, int, float))}
        if len(texts) < len(theirs) or not isinstance(ours, dict):
            return []
        return [(ours[text], theirs[key]) for text, key in texts.items() if type(key) is not bool]
    if len(ours) != len(theirs) or isinstance(ours, dict):
        raise DifferenceError(f"{ours!r:.300} and {theirs!r:.300}")
    return [*zip(ours, theirs, strict=True)]


def _compare_tensors(ours: Any, theirs: Any, of_view: Callable[[Tensor], Any]) -> None:
    import torch

    if not isinstance(ours, Tensor) or tuple(theirs.shape) != ours.shape:
        raise DifferenceError(f"{ours!r:.300} and {theirs!r:.300}")
    found = of_view(ours)
    if found is not None:
        flat = theirs.detach().contiguous().reshape(-1).view(torch.uint8)
        if found[1] != flat.numpy().tobytes():
            raise DifferenceError(f"the bytes of {ours!r:.300}")


def _first_words(error: Exception) -> str:
    text = str(error).replace("\n", " ")
    named = re.search(r"Unsupported (global|operand|class|\w+)", text)
    return named[0] if named else re.sub(r"\d+|'.*'", "…", text)[:60]
