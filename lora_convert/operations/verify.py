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
from lora_convert.storage.joined import Joined, moved
from lora_convert.storage.probe import ByteFacts

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter


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
            joined = Joined(one.checkpoint, other.checkpoint)
            facts = ByteFacts(joined.read)
            with one.naming():
                before = _adapter(one, adapter, 0, facts)
            with other.naming():
                after = _adapter(other, adapter, len(one.checkpoint.files), facts)
            proof = proof_of(compare(before, after, facts, joined.read))
            joined.check_unchanged()
    return proof._replace(seconds=time.perf_counter() - started)


def _adapter(opened: Opened, wanted: str | None, first_file: int, facts: ByteFacts) -> Adapter:
    """An opened adapter in Diffusers' names, its sources counted from `first_file`."""
    check_recognised(opened)
    header, detection = opened.checkpoint.header, opened.detection
    gathered = tuple(
        entry._replace(tensors={role: moved(t, first_file) for role, t in entry.tensors.items()})
        for entry in opened.gathered(chosen_adapter(detection, wanted, opened.checkpoint.path))
    )
    adapter = read(header, detection, gathered, scale_sources(opened, gathered, None))
    architecture = ARCHITECTURES[detection.architecture] if detection.architecture else None
    return translate(adapter, architecture, "diffusers", facts)
