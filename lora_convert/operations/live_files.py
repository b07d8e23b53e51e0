"""Files and folders of what a process holds: written, read back, and only then given their names."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lora_convert.planning import TextFile
from lora_convert.storage.atomic import check_space, staged_file, staged_folder, sync, sync_folder
from lora_convert.storage.flushing import Flushing
from lora_convert.storage.parents import made_folder
from lora_convert.storage.states import check_state, write_state
from lora_convert.storage.writer import check_written, write_tensor_file, write_text_file

if TYPE_CHECKING:
    from lora_convert.planning import TensorFile
    from lora_convert.storage.memory import Memory


def put_folder(
    target: str,
    files: Sequence[TensorFile | TextFile],
    memory: Memory,
    *,
    states: Mapping[str, Any] = {},
    replace: bool = False,
    own: Collection[str] = (),
) -> None:
    """Write files, and states by name, as a folder that appears whole.

    With `replace` it changes names with an older one in a single step; DestinationExistsError where that has
    files that are neither in the new one nor among its `own`.
    """
    parent = os.path.dirname(target)
    with made_folder(parent), staged_folder(target, replace=replace) as staged:
        check_space(parent, sum(file.size for file in files))
        for file in files:
            place = os.path.join(staged.path, *file.name.split("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            put_file(place, file, memory)
        for name, state in states.items():
            put_state(os.path.join(staged.path, name), state)
        for folder, _, _ in os.walk(staged.path):
            sync_folder(folder)
        staged.publish(replace=replace, own=own)


def put_file(place: str, file: TensorFile | TextFile, memory: Memory) -> None:
    """Write one file, in a folder that is there; DestinationExistsError where something has its name."""
    with staged_file(place, file.size) as (descriptor, staged):
        if isinstance(file, TextFile):
            write_text_file(descriptor, file, place)
            sync(descriptor)
        else:
            written = write_tensor_file(descriptor, file, memory, lambda done: None)
            with Flushing(descriptor):
                check_written(descriptor, place, written, memory, data=True)
        staged.publish(replace=False)


def put_state(place: str, state: Any, *, replace: bool = False) -> None:
    """Write a tree of plain values and tensors as a file of torch's, in a folder that is there."""
    with staged_file(place) as (descriptor, staged):
        write_state(descriptor, state)
        with Flushing(descriptor):
            check_state(staged.path)
        staged.publish(replace=replace)
