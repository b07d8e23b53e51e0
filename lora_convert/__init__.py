"""Make any LoRA work anywhere, and prove it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_convert.errors import LoraConvertError
    from lora_convert.operations.adapters import (
        AdapterArrays,
        ModuleArrays,
        read_adapter,
        write_adapter,
    )
    from lora_convert.operations.applying import Result
    from lora_convert.operations.convert import convert, plan_convert
    from lora_convert.operations.inspect import Inspection, inspect
    from lora_convert.operations.loading import Check, check
    from lora_convert.operations.loading_checkpoints import LoadReport, load_checkpoint
    from lora_convert.operations.proving import Proof
    from lora_convert.operations.saving import Saving
    from lora_convert.operations.saving_checkpoints import save_checkpoint
    from lora_convert.operations.verify import verify
    from lora_convert.operations.writing import ConversionPlan

__version__ = "0.1.0"

_HOMES = {
    "AdapterArrays": "operations.adapters",
    "Check": "operations.loading",
    "ConversionPlan": "operations.writing",
    "Inspection": "operations.inspect",
    "LoadReport": "operations.loading_checkpoints",
    "LoraConvertError": "errors",
    "ModuleArrays": "operations.adapters",
    "Proof": "operations.proving",
    "Result": "operations.applying",
    "Saving": "operations.saving",
    "check": "operations.loading",
    "convert": "operations.convert",
    "inspect": "operations.inspect",
    "load_checkpoint": "operations.loading_checkpoints",
    "plan_convert": "operations.convert",
    "read_adapter": "operations.adapters",
    "save_checkpoint": "operations.saving_checkpoints",
    "verify": "operations.verify",
    "write_adapter": "operations.adapters",
}

__all__ = [
    "AdapterArrays",
    "Check",
    "ConversionPlan",
    "Inspection",
    "LoadReport",
    "LoraConvertError",
    "ModuleArrays",
    "Proof",
    "Result",
    "Saving",
    "__version__",
    "check",
    "convert",
    "inspect",
    "load_checkpoint",
    "plan_convert",
    "read_adapter",
    "save_checkpoint",
    "verify",
    "write_adapter",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
