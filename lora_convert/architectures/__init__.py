"""The model families whose module names are known. One file each; geometry only."""

from __future__ import annotations

from lora_convert.architectures._single_files import SINGLE_FILES
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    Entry,
    Row,
    Sign,
    fill,
    find,
    index,
    skeleton,
)
from lora_convert.architectures.flux import FLUX
from lora_convert.architectures.sd1 import SD1
from lora_convert.architectures.sd2 import SD2
from lora_convert.architectures.sdxl import SDXL

ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture for architecture in (SD1, SD2, SDXL, FLUX)
}

__all__ = [
    "ARCHITECTURES",
    "SINGLE_FILES",
    "Architecture",
    "Component",
    "Entry",
    "Row",
    "Sign",
    "fill",
    "find",
    "index",
    "skeleton",
]
