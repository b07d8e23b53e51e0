"""What a training loop's checkpoints are called, and what is in them, for those who write and read."""

from __future__ import annotations

from lora_convert.formats import FORMATS
from lora_convert.storage.documents import CONFIG

ADAPTER = FORMATS["peft"].weights
WHOLE = FORMATS["accelerate"].weights
OPTIMIZER = "optimizer.bin"
SCHEDULER = "scheduler.bin"
STATE = "training_state.json"
OWN = (ADAPTER, CONFIG, WHOLE, OPTIMIZER, SCHEDULER, STATE)
"""All that a checkpoint's folder holds, and folders of adapters in it."""
DEFAULT = "default"
"""The adapter whose files lie in the folder itself, as PEFT has it (peft 0.21, peft_model.py)."""

PAYLOADS = (".pth", ".pt")
"""Endings of checkpoints that are one file of torch's."""
WEIGHTS_KEY = "model_state_dict"
OPTIMIZER_KEY = "optimizer_state_dict"
SCHEDULER_KEY = "scheduler_state_dict"
CONFIG_KEY = "config"
