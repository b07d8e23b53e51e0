"""Files for tests, written with safetensors' own library: no code under test makes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
NAMES = tuple(f"{ATTENTION}.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0"))


def factors(rank: int = 4, width: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A down and an up factor."""
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((rank, width)).astype("float32"),
        rng.standard_normal((width, rank)).astype("float32"),
    )


def spelled(
    prefix: str = "", *, infix: str = "", names: tuple[str, ...] = NAMES, rank: int = 4
) -> dict[str, np.ndarray]:
    """An attention LoRA in PEFT's endings."""
    tensors = {}
    for seed, name in enumerate(names):
        down, up = factors(rank, seed=seed)
        tensors[f"{prefix}{name}.lora_A{infix}.weight"] = down
        tensors[f"{prefix}{name}.lora_B{infix}.weight"] = up
    return tensors


def kohya(*, alpha: float | None = 2.0, names: tuple[str, ...] = NAMES) -> dict[str, np.ndarray]:
    """The same LoRA in kohya's names."""
    tensors = {}
    for seed, name in enumerate(names):
        flat = f"lora_unet_{name.replace('.', '_')}"
        tensors[f"{flat}.lora_down.weight"], tensors[f"{flat}.lora_up.weight"] = factors(seed=seed)
        if alpha is not None:
            tensors[f"{flat}.alpha"] = np.array(alpha, "float32")
    return tensors


def peft_folder(folder: Path, *, rank: int = 4, **fields: object) -> Path:
    """A PEFT folder; `fields` go into its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(spelled("base_model.model.", rank=rank), folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 8, **fields}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
