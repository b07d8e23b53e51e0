"""An adapter and its configuration, as scripts save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, TaskType
from safetensors.torch import save_file

from tests.storage.torch_files import adapter

WEIGHTS = adapter("base_model.model.")
CONFIG = {"r": 4, "lora_alpha": 10, "target_modules": ["to_q", "to_k", "to_v", "to_out.0"]}
LORA_CONFIG = LoraConfig(**CONFIG, task_type=TaskType.FEATURE_EXTRACTION)


def saved(value: Any, path: Path, protocol: int = 2) -> Path:
    """A file of torch."""
    torch.save(value, path, pickle_protocol=protocol)
    return path


def bare(prefix: str = "") -> dict[str, torch.Tensor]:
    """As PEFT's get_peft_model_state_dict names them."""
    return adapter(f"base_model.model.{prefix}", infix="")


def twin(folder: Path) -> Path:
    """The same adapter as PEFT saves it."""
    folder.mkdir()
    save_file(bare(), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **CONFIG}))
    return folder
