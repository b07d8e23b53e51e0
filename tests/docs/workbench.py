"""The files that the documentation's commands are run on.

Pages speak of files a reader might have: ``my-run/``, ``style.safetensors``. Here they are made, small,
from the adapter of ``fixtures/tiny-run`` and with numpy and safetensors alone. Each page gets a copy.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import lora_convert as lc

ROOT = Path(__file__).resolve().parents[2]
TINY_RUN = ROOT / "fixtures" / "tiny-run"
CHECKPOINT = "checkpoints/checkpoint-500"


def build(folder: Path) -> None:
    """Make every file that pages name, in `folder`."""
    shutil.copytree(ROOT / "fixtures", folder / "fixtures")
    shutil.copytree(TINY_RUN, folder / "my-run")
    source = os.fspath(folder / "my-run" / CHECKPOINT / "model.safetensors")
    _save(Path(source), {key: _trained(tensor) for key, tensor in load_file(source).items()})
    lc.convert(source, "kohya", output=os.fspath(folder / "style.safetensors"))
    lc.convert(source, "diffusers", output=os.fspath(folder / "converted.safetensors"))
    lc.convert(source, "diffusers", output=os.fspath(folder / "rounded.safetensors"), dtype="bf16")
    lc.convert(source, "peft", output=os.fspath(folder / "adapter"))
    converted = load_file(folder / "converted.safetensors")
    _save(folder / "no-scale.safetensors", converted)
    _save(
        folder / "stripped.safetensors",
        {key.removeprefix("unet."): t for key, t in converted.items()},
    )
    _save(folder / "other.safetensors", {key: t * np.float32(0.5) for key, t in converted.items()})
    _save(folder / "two-adapters.safetensors", _named(converted, "character", "style"))
    _save(
        folder / "mystery.safetensors",
        {**converted, "unet.mid_block.mystery": np.zeros(4, np.float32)},
    )
    _save(folder / "text-encoders.safetensors", _text_encoders())
    broken = folder / "broken.safetensors"
    broken.write_bytes((folder / "converted.safetensors").read_bytes()[:5000])
    pointer = (
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 151113088\n"
    )
    (folder / "pointer.safetensors").write_text(pointer, encoding="utf-8")
    (folder / "loras").mkdir()
    for name in ("style", "no-scale", "rounded", "broken"):
        shutil.copy(folder / f"{name}.safetensors", folder / "loras")


def _trained(tensor: np.ndarray) -> np.ndarray:
    """A factor as a longer run leaves it: not so small that fp16 has no precision there."""
    return tensor * np.float32(4096) if 0 < np.abs(tensor).max() < 1e-3 else tensor


def _save(path: Path, tensors: dict[str, np.ndarray]) -> None:
    save_file({key: np.ascontiguousarray(tensor) for key, tensor in tensors.items()}, path)


def _named(tensors: dict[str, np.ndarray], *adapters: str) -> dict[str, np.ndarray]:
    """The same factors once for each adapter, as a live model's own names."""
    return {
        key.removeprefix("unet.").replace(".weight", f".{adapter}.weight"): tensor
        for key, tensor in tensors.items()
        for adapter in adapters
    }


def _text_encoders() -> dict[str, np.ndarray]:
    """A kohya adapter of both of SDXL's text encoders, alpha 4 at rank 8."""
    numbers = np.random.default_rng(0)
    tensors = {}
    for encoder, width in (("te1", 768), ("te2", 1280)):
        for projection in ("q_proj", "v_proj"):
            module = f"lora_{encoder}_text_model_encoder_layers_0_self_attn_{projection}"
            tensors[f"{module}.lora_down.weight"] = numbers.normal(size=(8, width)).astype(
                np.float32
            )
            tensors[f"{module}.lora_up.weight"] = numbers.normal(size=(width, 8)).astype(np.float32)
            tensors[f"{module}.alpha"] = np.array(4, np.float32)
    return tensors
