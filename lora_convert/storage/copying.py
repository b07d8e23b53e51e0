"""Copying bytes between open files, by the kernel where it can."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lora_convert.planning import SHARED_BLOCK
from lora_convert.storage.positions import write_at

if TYPE_CHECKING:
    from lora_convert.storage.files import SourceFile


def copy_range(source: SourceFile, start: int, size: int, descriptor: int, place: int) -> None:
    """Copy `size` bytes from `start` of a file to `place` of a descriptor.

    OSError where writing fails, CorruptCheckpointError where reading does. The kernel may share the
    blocks instead, which costs no space.
    """
    # where the places differ within a page the kernel writes every page twice, and reading is faster
    alike = (place - start) % SHARED_BLOCK == 0
    done = _copy_in_kernel(source.descriptor, start, size, descriptor, place) if alike else 0
    for block in source.blocks(start + done, size - done):
        write_at(descriptor, block, place + done)
        done += len(block)


def _copy_in_kernel(source: int, start: int, size: int, descriptor: int, place: int) -> int:
    """Copy without passing the bytes through this process; returns how many, 0 where it cannot.

    An error only ends this way of copying: reading and writing the rest tells whose fault it is.
    """
    if not hasattr(os, "copy_file_range"):
        return 0
    done = 0
    while done < size:
        try:
            moved = os.copy_file_range(source, descriptor, size - done, start + done, place + done)
        except OSError:
            return done
        if not moved:
            return done
        done += moved
    return done
