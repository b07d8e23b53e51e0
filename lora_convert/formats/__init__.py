"""The formats that are read and written. One file each; spelling only."""

from __future__ import annotations

from lora_convert.formats._config_writing import document_fields, write_config
from lora_convert.formats._declaration import (
    Ending,
    Format,
    MetadataOf,
    ScaleEntry,
    Variation,
)
from lora_convert.formats._foreign import known_as
from lora_convert.formats._lora_config import SYNONYMS, LoraConfig, read_config, trainer_config
from lora_convert.formats._tuners import TUNERS, is_configured
from lora_convert.formats.accelerate import ACCELERATE
from lora_convert.formats.bfl import BFL
from lora_convert.formats.cloneofsimo import CLONEOFSIMO
from lora_convert.formats.comfyui import COMFYUI
from lora_convert.formats.diffusers import DIFFUSERS
from lora_convert.formats.dotted import DOTTED
from lora_convert.formats.kohya import KOHYA
from lora_convert.formats.lycoris import LYCORIS
from lora_convert.formats.mflux import MFLUX
from lora_convert.formats.onetrainer import ONETRAINER
from lora_convert.formats.peft import COMPONENTS, PEFT
from lora_convert.formats.xlabs import XLABS

FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        PEFT,
        ACCELERATE,
        DIFFUSERS,
        KOHYA,
        COMFYUI,
        ONETRAINER,
        LYCORIS,
        BFL,
        MFLUX,
        DOTTED,
        XLABS,
        CLONEOFSIMO,
    )
}


def written() -> dict[str, Format]:
    """The formats that are written too."""
    return {name: format_ for name, format_ in FORMATS.items() if format_.written}


__all__ = [
    "COMPONENTS",
    "FORMATS",
    "SYNONYMS",
    "TUNERS",
    "Ending",
    "Format",
    "LoraConfig",
    "MetadataOf",
    "ScaleEntry",
    "Variation",
    "document_fields",
    "is_configured",
    "known_as",
    "read_config",
    "trainer_config",
    "write_config",
    "written",
]
