"""Torch checkpoints written by torch itself, and what this package reads of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.folders import weight_files
from lora_convert.tensors.evaluate import computed_blocks
from lora_convert.tensors.expr import Held
from tests.writing import NAMES

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "BOOL": torch.bool,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
}
"""Those that torch and safetensors both have."""

Read = dict[str, tuple[str, tuple[int, ...], bytes]]
"""Dtype, shape and bytes by name."""


def drawn(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    """A tensor of any dtype whose bytes are drawn at random."""
    draw = torch.Generator().manual_seed(seed)
    width = torch.empty(0, dtype=dtype).element_size()
    count = torch.Size(shape).numel()
    high = 2 if dtype is torch.bool else 64  # no NaN in any dtype
    data = torch.randint(0, high, (count * width,), generator=draw, dtype=torch.uint8)
    return data.view(dtype).reshape(shape)


def bytes_of(tensor: torch.Tensor) -> bytes:
    """The elements one after the other."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def as_torch_has(tensors: Mapping[str, torch.Tensor]) -> Read:
    """Tensors of torch in the form of `as_we_read`."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    return {
        name: (names[tensor.dtype], tuple(tensor.shape), bytes_of(tensor))
        for name, tensor in tensors.items()
    }


def as_we_read(path: str | Path) -> Read:
    """Every tensor of a file, its checksum included."""
    with Checkpoint(weight_files(str(path))) as checkpoint:
        header = checkpoint.header
        checkpoint.check_sums(header.tensors.values())
        return {
            name: (
                tensor.dtype,
                tuple(tensor.shape),
                tensor.data
                if isinstance(tensor, Held)
                else b"".join(computed_blocks(tensor, checkpoint.read)),
            )
            for name, tensor in header.tensors.items()
        }


def adapter(prefix: str = "", *, infix: str = ".default", rank: int = 4) -> dict[str, Any]:
    """The LoRA of tests.writing as torch tensors."""
    return {
        f"{prefix}{name}.lora_{side}{infix}.weight": torch.randn(
            shape, generator=torch.Generator().manual_seed(seed)
        )
        for seed, name in enumerate(NAMES)
        for side, shape in (("A", (rank, 8)), ("B", (8, rank)))
    }
