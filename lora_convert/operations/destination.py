"""Where an output goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import NotExpressibleError

if TYPE_CHECKING:
    from lora_convert.formats import Format
    from lora_convert.operations.opening import Opened

_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


class Destination(NamedTuple):
    """Where a conversion's output goes."""

    path: str
    """The file, or the folder of a format whose output is a folder."""
    weights: str
    """Name of the weights file."""
    folder: bool


def destination_of(opened: Opened, format_: Format, output: str | None) -> Destination:
    """Where the conversion of an opened source goes: `output`, or beside the source."""
    source = opened.checkpoint.path
    folder = os.path.isdir(source)
    parent = source if folder else os.path.dirname(source)
    base = os.path.basename(os.path.abspath(source))
    return destination(format_, output, parent, base if folder else stem_of(base))


def stem_of(name: str) -> str:
    """A weights file's or index's name without what its container adds."""
    name = name.removesuffix(".index.json")
    return next((name.removesuffix(end) for end in _WEIGHT_SUFFIXES if name.endswith(end)), name)


def destination(format_: Format, output: str | None, parent: str, stem: str) -> Destination:
    """Where an output goes: `output`, a file or folder, or the format's usual name in `parent`."""
    if output is None:
        path = os.path.join(parent, format_.file_name(stem))
    elif output.endswith(_WEIGHT_SUFFIXES):
        if not output.endswith(".safetensors"):
            raise NotExpressibleError(
                f"{output}: only safetensors files are written",
                hint=f"-o {os.path.splitext(output)[0]}.safetensors",
            )
        return Destination(output, os.path.basename(output), False)
    elif not format_.folder:
        path = os.path.join(output, format_.file_name(stem))
    else:
        path = output
    weights = format_.weights if format_.folder else os.path.basename(path)
    return Destination(path, weights, format_.folder)
