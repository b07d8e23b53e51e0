"""Bases and runs to make pipelines of, written with safetensors' own library; Diffusers is not needed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tests.writing import NAMES, factors

WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
LARGE = 600
"""Side of a matrix whose file is large enough to be shared."""


def component(
    name: str, *, width: int = 8, dtype: str = "float32", large: int = LARGE
) -> dict[str, np.ndarray]:
    """A component's weights; what no adapter touches is as large as is shared."""
    rng = np.random.default_rng(len(name))
    shapes = {"rest.weight": (large, large)}
    if name == "unet":
        shapes |= {f"{module}.weight": (width, width) for module in NAMES}
        shapes |= {"conv_in.bias": (width,)}
    return {key: rng.standard_normal(shape).astype(dtype) for key, shape in shapes.items()}


def write_base(folder: Path, **how: object) -> Path:
    """A pipeline of three components with weights."""
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    for name, file in WEIGHTS.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{}")
        save_file(component(name, **how), folder / name / file, {"format": "pt"})  # type: ignore[arg-type]
    for name in ("scheduler", "tokenizer"):
        (folder / name).mkdir()
        (folder / name / f"{name}_config.json").write_text("{}")
    return folder


def lora(seed: int, *, width: int = 8, alpha: float = 8.0) -> dict[str, np.ndarray]:
    """A LoRA of the base's UNet in kohya's names, another for each seed."""
    tensors = {}
    for number, name in enumerate(NAMES):
        flat = f"lora_unet_{name.replace('.', '_')}"
        down, up = factors(4, width, seed=100 * seed + number)
        tensors |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
        tensors[f"{flat}.alpha"] = np.array(alpha, "float32")
    return tensors


def write_checkpoint(run: Path, step: int, seed: int | None = None) -> Path:
    """A checkpoint of a run, as PEFT saves adapters."""
    folder = run / "checkpoints" / f"checkpoint-{step}"
    write_adapter(folder, step if seed is None else seed)
    return folder


def write_adapter(folder: Path, seed: int, **fields: object) -> Path:
    """An adapter of the base's UNet, another for each seed."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for number, name in enumerate(NAMES):
        down, up = factors(4, seed=100 * seed + number)
        tensors[f"base_model.model.{name}.lora_A.weight"] = down
        tensors[f"base_model.model.{name}.lora_B.weight"] = up
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, **fields}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def wrapped(base: Path, seed: int, dtype: str = "float32") -> dict[str, np.ndarray]:
    """All tensors of the base's UNet, wrapped by PEFT, with an adapter, another for each seed."""
    from safetensors.numpy import load_file

    tensors = {}
    for name, tensor in load_file(base / "unet" / WEIGHTS["unet"]).items():
        module, _, leaf = name.rpartition(".")
        inner = f"{module}.base_layer.{leaf}" if module in NAMES else name
        tensors[f"base_model.model.{inner}"] = tensor.astype(dtype)
    for number, name in enumerate(NAMES):
        down, up = factors(4, seed=100 * seed + number)
        tensors[f"base_model.model.{name}.lora_A.default.weight"] = down
        tensors[f"base_model.model.{name}.lora_B.default.weight"] = up
    return tensors


def write_wrapped(folder: Path, base: Path, seed: int, **how: str) -> Path:
    """A checkpoint as Accelerate saves it: the whole wrapped model, and what training goes on from."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(wrapped(base, seed, **how), folder / "model.safetensors")
    for name in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl"):
        (folder / name).write_bytes(bytes([seed % 256]) * 64)
    return folder


def write_wrapped_run(
    run: Path, base: Path | str, of: Path, steps: tuple[int, ...] = (500, 1000, 1500), **how: str
) -> Path:
    """A run of wrapped checkpoints of the base `of`, which it calls `base`."""
    for step in steps:
        write_wrapped(run / "checkpoints" / f"checkpoint-{step}", of, step, **how)
    (run / "run.json").write_text(json.dumps({"state": "finished", "base_model": str(base)}))
    return run


def write_run(run: Path, base: Path | str, steps: tuple[int, ...] = (500, 1000, 1500)) -> Path:
    """A run that names its base, with a loss that is lowest at its second checkpoint."""
    for step in steps:
        write_checkpoint(run, step)
    write_adapter(run / "lora_weights", 1)
    (run / "run.json").write_text(json.dumps({"schema": 1, "base_model": str(base)}))
    losses = [
        {"step": step, "loss": 0.1 * abs(number - 1) + 0.1} for number, step in enumerate(steps)
    ]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(loss)}\n" for loss in losses))
    return run


def tree(folder: Path) -> Mapping[str, tuple[int, int, bytes]]:
    """Inode, time and content of every file and link below a folder."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            status = path.lstat()
            data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(folder))] = (status.st_ino, status.st_mtime_ns, data)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, through links."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
