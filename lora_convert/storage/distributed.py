"""Folders in which several processes saved their parts: recognised, named, and left to their own tools."""

from __future__ import annotations

import os
import re

from lora_convert.errors import CheckpointNotFoundError, UnknownFormatError
from lora_convert.storage.folders import names_in
from lora_convert.storage.places import is_folder

_DCP = "a torch distributed checkpoint (DCP, as FSDP saves it)"
_FSDP = "an FSDP checkpoint of one part a process"
_DEEPSPEED = "a DeepSpeed checkpoint"


def check_not_distributed(folder: str) -> None:
    """Raise UnknownFormatError, with the command that gathers the parts, where a folder holds such.

    DCP (torch 2.13, distributed/checkpoint/filesystem.py): ``.metadata`` and ``*.distcp``. DeepSpeed:
    ``zero_to_fp32.py``, or a folder with ``*_model_states.pt``.
    """
    _check_one(folder)
    for name in names_in(folder):
        inner = os.path.join(folder, name)
        if is_folder(inner) and not os.path.islink(inner):
            _check_one(inner)


def _check_one(folder: str) -> None:
    try:
        names = names_in(folder)
    except CheckpointNotFoundError:
        return
    if ".metadata" in names and any(name.endswith(".distcp") for name in names):
        command = (
            f"python -m torch.distributed.checkpoint.format_utils dcp_to_torch {folder} whole.pt"
        )
        raise UnknownFormatError(folder, known_as=_DCP, hint=command)
    if any(re.fullmatch(r"pytorch_model_fsdp_rank\d+\.bin", name) for name in names):
        hint = "save it again with state_dict_type=FULL_STATE_DICT"
        raise UnknownFormatError(folder, known_as=_FSDP, hint=hint)
    if "zero_to_fp32.py" in names:
        command = f"python {os.path.join(folder, 'zero_to_fp32.py')} {folder} whole"
        raise UnknownFormatError(folder, known_as=_DEEPSPEED, hint=command)
    if any(name.endswith("_model_states.pt") for name in names):
        hint = "give it the folder that holds zero_to_fp32.py, and run that script"
        raise UnknownFormatError(folder, known_as=_DEEPSPEED, hint=hint)
