"""The states of optimizers and schedulers: what ``torch.save`` writes, and torch alone can use.

Torch reads them back, with ``weights_only``, once every checksum, name and place in the file has been checked
by this package's own reader: torch compares no checksums, and has had defects there (CVE-2026-24747).
"""

from __future__ import annotations

import io
import os
from contextlib import closing
from typing import Any

from lora_convert.errors import UnknownFormatError, UnsafePickleError
from lora_convert.storage.files import SourceFile
from lora_convert.storage.kinds import kind_of
from lora_convert.storage.positions import write_at
from lora_convert.storage.torch_zip import check_torch_zip


def write_state(descriptor: int, state: object) -> None:
    """Write a tree of plain values and tensors to an empty descriptor; OSError where writing fails."""
    import torch

    torch.save(state, _Following(descriptor))


class _Following(io.BytesIO):
    """A descriptor, written from its beginning on."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._place = 0

    def write(self, data: Any) -> int:
        """Write all of `data` after what has been written."""
        size = memoryview(data).nbytes
        write_at(self._descriptor, memoryview(data), self._place)
        self._place += size
        return size


def check_state(path: str) -> None:
    """Read a written state as a stranger would; errors as of `check_torch_zip`."""
    with closing(SourceFile(path)) as file:
        _check(file)


def read_state(path: str) -> Any:
    """The tree in a torch file, its tensors on the CPU.

    CorruptCheckpointError where it is damaged, UnsafePickleError where it holds more than plain values.
    """
    import torch

    with closing(SourceFile(path)) as file:
        _check(file)
        with os.fdopen(os.dup(file.descriptor), "rb") as stream:
            stream.seek(0)
            try:
                state = torch.load(stream, map_location="cpu", weights_only=True)
            except Exception as error:
                problem = "holds objects that torch does not read with weights_only"
                raise UnsafePickleError(path, problem) from error
        file.check_unchanged()
    return state


def _check(file: SourceFile) -> None:
    if kind_of(file) != "torch zip":
        raise UnknownFormatError(file.path, known_as="no file of torch.save")
    check_torch_zip(file)
