"""Do two files, in any two formats, act alike?"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.gather import chosen_adapter
from lora_convert.conversion.read import read
from lora_convert.conversion.translate import translate
from lora_convert.operations.comparing import compare
from lora_convert.operations.opening import Opened, open_adapter
from lora_convert.operations.proving import Proof, proof_of
from lora_convert.operations.recognising import check_recognised
from lora_convert.operations.scaling import scale_sources
from lora_convert.storage.probe import ByteFacts
from lora_convert.tensors.expr import Held
from lora_convert.tensors.source import Source, Strided

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter
    from lora_convert.tensors.expr import Stored
    from lora_convert.tensors.ranges import Range


def verify(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    adapter: str | None = None,
    component: str | None = None,
    architecture: str | None = None,
) -> Proof:
    """Compare the effective ΔW of every module of two files or folders, in any formats.

    Modules of one that the other lacks differ, unless their ΔW is zero.
    """
    started = time.perf_counter()
    one = open_adapter(os.fspath(first), architecture=architecture, component=component)
    with one.checkpoint:
        other = open_adapter(os.fspath(second), architecture=architecture, component=component)
        with other.checkpoint:
            files = [*one.checkpoint.files, *other.checkpoint.files]

            def read_range(extent: Range) -> bytes:
                return files[extent.file].read(extent.start, extent.size)

            facts = ByteFacts(read_range)
            before = _adapter(one, adapter, 0, facts)
            after = _adapter(other, adapter, len(one.checkpoint.files), facts)
            proof = proof_of(compare(before, after, facts, read_range))
            one.checkpoint.check_unchanged()
            other.checkpoint.check_unchanged()
    return proof._replace(seconds=time.perf_counter() - started)


def _adapter(opened: Opened, wanted: str | None, first_file: int, facts: ByteFacts) -> Adapter:
    """An opened adapter in Diffusers' names, its sources counted from `first_file`."""
    check_recognised(opened)
    header, detection = opened.checkpoint.header, opened.detection
    gathered = tuple(
        entry._replace(tensors={role: _moved(t, first_file) for role, t in entry.tensors.items()})
        for entry in opened.gathered(chosen_adapter(detection, wanted, opened.checkpoint.path))
    )
    adapter = read(header, detection, gathered, scale_sources(opened, gathered, None))
    architecture = ARCHITECTURES[detection.architecture] if detection.architecture else None
    return translate(adapter, architecture, "diffusers", facts)


def _moved(tensor: Stored, first_file: int) -> Stored:
    match tensor:
        case Source():
            return tensor._replace(file=tensor.file + first_file)
        case Strided(source):
            return tensor._replace(of=source._replace(file=source.file + first_file))
        case Held():
            return tensor
