"""The programs that load adapters: what each reads, gets wrong, and is best given, with sources."""

from __future__ import annotations

from lora_convert.applications._declaration import (
    Application,
    Effect,
    File,
    Gap,
    Module,
    Reads,
)
from lora_convert.applications.comfyui import COMFYUI
from lora_convert.applications.libraries import DIFFUSERS, PEFT
from lora_convert.applications.others import INVOKEAI, SD_CPP
from lora_convert.applications.trainers import AI_TOOLKIT, MUSUBI, ONETRAINER, SD_SCRIPTS
from lora_convert.applications.webuis import A1111, FORGE, listed_under

APPLICATIONS: dict[str, Application] = {
    application.name: application
    for application in (
        COMFYUI,
        A1111,
        FORGE,
        INVOKEAI,
        DIFFUSERS,
        PEFT,
        SD_SCRIPTS,
        MUSUBI,
        ONETRAINER,
        AI_TOOLKIT,
        SD_CPP,
    )
}

__all__ = [
    "APPLICATIONS",
    "Application",
    "Effect",
    "File",
    "Gap",
    "Module",
    "Reads",
    "listed_under",
]
