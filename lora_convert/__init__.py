"""Make any LoRA work anywhere, and prove it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_convert.errors import LoraConvertError
    from lora_convert.operations.adapter_configs import ConfigDifference, compare_configs
    from lora_convert.operations.adapters import (
        AdapterArrays,
        ModuleArrays,
        read_adapter,
        write_adapter,
    )
    from lora_convert.operations.applying import Result
    from lora_convert.operations.convert import convert, plan_convert
    from lora_convert.operations.describing_models import (
        AdapterDescription,
        ModelDescription,
        describe_model,
        is_lora_model,
    )
    from lora_convert.operations.inspect import Inspection, inspect
    from lora_convert.operations.loading import Check, check
    from lora_convert.operations.loading_checkpoints import LoadReport, load_checkpoint
    from lora_convert.operations.making_models import model_from_checkpoint
    from lora_convert.operations.merging_models import merge_into, save_merged
    from lora_convert.operations.proving import Proof
    from lora_convert.operations.saving import Saving
    from lora_convert.operations.saving_checkpoints import save_checkpoint
    from lora_convert.operations.verify import verify
    from lora_convert.operations.writing import ConversionPlan

__version__ = "0.1.0"

_HOMES = {
    "AdapterArrays": "operations.adapters",
    "AdapterDescription": "operations.describing_models",
    "Check": "operations.loading",
    "ConfigDifference": "operations.adapter_configs",
    "ConversionPlan": "operations.writing",
    "Inspection": "operations.inspect",
    "LoadReport": "operations.loading_checkpoints",
    "LoraConvertError": "errors",
    "ModelDescription": "operations.describing_models",
    "ModuleArrays": "operations.adapters",
    "Proof": "operations.proving",
    "Result": "operations.applying",
    "Saving": "operations.saving",
    "check": "operations.loading",
    "compare_configs": "operations.adapter_configs",
    "convert": "operations.convert",
    "describe_model": "operations.describing_models",
    "inspect": "operations.inspect",
    "is_lora_model": "operations.describing_models",
    "load_checkpoint": "operations.loading_checkpoints",
    "merge_into": "operations.merging_models",
    "model_from_checkpoint": "operations.making_models",
    "plan_convert": "operations.convert",
    "read_adapter": "operations.adapters",
    "save_checkpoint": "operations.saving_checkpoints",
    "save_merged": "operations.merging_models",
    "verify": "operations.verify",
    "write_adapter": "operations.adapters",
}

__all__ = [
    "AdapterArrays",
    "AdapterDescription",
    "Check",
    "ConfigDifference",
    "ConversionPlan",
    "Inspection",
    "LoadReport",
    "LoraConvertError",
    "ModelDescription",
    "ModuleArrays",
    "Proof",
    "Result",
    "Saving",
    "__version__",
    "check",
    "compare_configs",
    "convert",
    "describe_model",
    "inspect",
    "is_lora_model",
    "load_checkpoint",
    "merge_into",
    "model_from_checkpoint",
    "plan_convert",
    "read_adapter",
    "save_checkpoint",
    "save_merged",
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
