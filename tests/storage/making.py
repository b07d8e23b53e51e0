"""Safetensors files made by hand, right or wrong in any way wanted."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_convert.tensors.dtypes import BITS

UNET = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1"
PEFT = UNET.replace("unet.", "base_model.model.")
PROJECTIONS = ("to_k", "to_out.0", "to_q", "to_v")
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}


def tensor_bytes(dtype: str, shape: tuple[int, ...], seed: int = 0) -> bytes:
    """Finite values: bytes that are small in every dtype."""
    bits = BITS[dtype]
    for length in shape:
        bits *= length
    width = max(1, BITS[dtype] // 8)
    chosen = random.Random(seed)
    data = bytearray(chosen.randbytes(bits // 8))
    for at in range(width - 1, len(data), width):
        data[at] = 0x30 | chosen.randrange(8)  # an exponent near one
    return bytes(data)


def framed(header: bytes, data: bytes = b"") -> bytes:
    """A header of any bytes, with its length before and data after it."""
    return struct.pack("<Q", len(header)) + header + data


def content(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
    metadata: Mapping[str, str] | None = None,
    data: Mapping[str, bytes] | None = None,
) -> bytes:
    """A sound file of tensors in the order given; `data` says the bytes of some."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata is not None else {}
    body = b""
    for number, (name, (dtype, shape)) in enumerate(tensors.items()):
        values = (data or {}).get(name, tensor_bytes(dtype, shape, number))
        entries[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [len(body), len(body) + len(values)],
        }
        body += values
    header = json.dumps(entries, separators=(",", ":")).encode()
    return framed(header + b" " * (-len(header) % 8), body)


def adapter_tensors(
    prefix: str = PEFT, rank: int = 2, width: int = 8
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """A LoRA on the attention of one SD1 block."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name in PROJECTIONS:
        tensors[f"{prefix}.{name}.lora_A.weight"] = ("F32", (rank, width))
        tensors[f"{prefix}.{name}.lora_B.weight"] = ("F32", (width, rank))
    return tensors


def peft_folder(folder: Path, *, rank: int = 2, width: int = 8, **fields: Any) -> Path:
    """A PEFT adapter: weights and configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(
        content(adapter_tensors(rank=rank, width=width), {"format": "pt"})
    )
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | {"r": rank} | fields))
    return folder
