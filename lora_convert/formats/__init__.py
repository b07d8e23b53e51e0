"""The formats that are read and written. One file each; spelling only."""

from __future__ import annotations

from lora_convert.formats._declaration import (
    Ending,
    Format,
    MetadataOf,
    ScaleEntry,
    Variation,
)
from lora_convert.formats._foreign import known_as
from lora_convert.formats._lora_config import LoraConfig, read_config, trainer_config, write_config
from lora_convert.formats.accelerate import ACCELERATE
from lora_convert.formats.diffusers import DIFFUSERS
from lora_convert.formats.kohya import KOHYA
from lora_convert.formats.peft import COMPONENTS, PEFT

FORMATS: dict[str, Format] = {
    format_.name: format_ for format_ in (PEFT, ACCELERATE, DIFFUSERS, KOHYA)
}

__all__ = [
    "COMPONENTS",
    "FORMATS",
    "Ending",
    "Format",
    "LoraConfig",
    "MetadataOf",
    "ScaleEntry",
    "Variation",
    "known_as",
    "read_config",
    "trainer_config",
    "write_config",
]
