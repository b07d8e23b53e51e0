"""Apply a pipeline's plan: place what the base has, write what the adapter changes, publish the folder."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lora_convert.errors import DestinationExistsError
from lora_convert.operations.pipeline import Given, Piece
from lora_convert.planning import TensorFile, TextFile
from lora_convert.storage.atomic import check_space, staged_file, staged_folder, sync, sync_folder
from lora_convert.storage.flushing import Flushing
from lora_convert.storage.linking import place
from lora_convert.storage.positions import write_at
from lora_convert.storage.writer import check_written, write_tensor_file

if TYPE_CHECKING:
    from lora_convert.operations.pipeline import PipelinePlan

METADATA_NAME = "checkpoint_metadata.json"
_DOCUMENT = 1 << 20
"""Bytes up to which a file of the base is copied rather than linked: documents get edited."""


class Assembled(NamedTuple):
    """A pipeline that was written."""

    status: Literal["written"]
    output: str
    written: int
    """Bytes that the disk took."""
    placed: Mapping[str, int]
    """Files by how they came: ``copy``, ``reflink``, ``hardlink``, ``symlink``, ``computed``."""
    seconds: float
    plan: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        fields = {key: value for key, value in self._asdict().items() if key != "plan"}
        return {**self.plan, **fields, "placed": dict(self.placed)}


def assemble(
    plan: PipelinePlan,
    *,
    force: bool = False,
    verify: bool = True,
    progress: Callable[[int], None] = lambda done: None,
) -> Assembled:
    """Write a planned pipeline: the folder appears whole or not at all."""
    started = time.perf_counter()
    output = os.path.abspath(plan.output)
    if os.path.lexists(output) and not force:
        raise DestinationExistsError(plan.output)
    parent = os.path.dirname(output)
    os.makedirs(parent, exist_ok=True)
    check_space(parent, plan.own_size)
    written, methods = 0, Counter[str]()
    with staged_folder(output) as staged:
        for piece in plan.pieces:
            path = os.path.join(staged.path, *piece.content.name.split("/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            method, size = _write(plan, piece, path, verify=verify, progress=progress)
            methods[method] += 1
            written += size
        for folder, _, _ in os.walk(staged.path):
            sync_folder(folder)
        plan.joined.check_unchanged()
        staged.publish(replace=force)
    seconds = time.perf_counter() - started
    return Assembled("written", plan.output, written, methods, seconds, plan.as_json())


def _write(
    plan: PipelinePlan, piece: Piece, path: str, *, verify: bool, progress: Callable[[int], None]
) -> tuple[str, int]:
    """Put one piece under its path; how, and the bytes that took."""
    content = piece.content
    if isinstance(content, Given):
        how = "copy" if content.size < _DOCUMENT else plan.options.link
        placed = place(content.path, path, how)
        return placed.method, placed.written
    with staged_file(path, content.size) as (descriptor, staged):
        if isinstance(content, TextFile):
            write_at(descriptor, content.text.encode(), 0)
            sync(descriptor)
        else:
            _write_tensors(plan, content, descriptor, path, verify=verify, progress=progress)
        staged.publish(replace=False)
    return "computed", content.size


def _write_tensors(
    plan: PipelinePlan,
    file: TensorFile,
    descriptor: int,
    path: str,
    *,
    verify: bool,
    progress: Callable[[int], None],
) -> None:
    written = write_tensor_file(descriptor, file, plan.joined, progress)
    with Flushing(descriptor):
        check_written(descriptor, path, written, plan.joined, data=verify)
