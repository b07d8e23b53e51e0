"""Adapter files of any size with real names and shapes, written with the standard library alone."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

_BITS = {"F32": 32, "F16": 16, "BF16": 16}
_FINITE = bytes(byte & 0x87 | 0x38 for byte in range(256))
"""Any bytes, mapped to ones that are finite, of both signs and about 1 in every float dtype."""
_PATTERN = random.Random(0).randbytes(1_000_003).translate(_FINITE)
"""Of a prime length, so that no two tensors begin alike."""
_EIGHT = b"\x00\x41"
"""As bfloat16."""


Tensors: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]
"""Dtype and shape by name, in file order."""


class Module(NamedTuple):
    """A linear layer."""

    name: str
    inputs: int
    outputs: int


def sd1_attention() -> Iterator[Module]:
    """The 128 attention projections of Stable Diffusion 1.5's UNet."""
    for block, width in _sd1_blocks():
        for attention, context in (("attn1", width), ("attn2", 768)):
            place = f"{block}.transformer_blocks.0.{attention}"
            yield Module(f"{place}.to_q", width, width)
            yield Module(f"{place}.to_k", context, width)
            yield Module(f"{place}.to_v", context, width)
            yield Module(f"{place}.to_out.0", width, width)


def _sd1_blocks() -> Iterator[tuple[str, int]]:
    for block, width in ((0, 320), (1, 640), (2, 1280)):
        for layer in range(2):
            yield f"down_blocks.{block}.attentions.{layer}", width
    yield "mid_block.attentions.0", 1280
    for block, width in ((1, 1280), (2, 640), (3, 320)):
        for layer in range(3):
            yield f"up_blocks.{block}.attentions.{layer}", width


def flux_native(width: int = 3072) -> Iterator[Module]:
    """The 304 modules of FLUX.1's blocks, as their authors and kohya name them."""
    for block in range(19):
        for stream in ("img", "txt"):
            place = f"double_blocks_{block}_{stream}"
            yield Module(f"{place}_attn_qkv", width, 3 * width)
            yield Module(f"{place}_attn_proj", width, width)
            yield Module(f"{place}_mlp_0", width, 4 * width)
            yield Module(f"{place}_mlp_2", 4 * width, width)
            yield Module(f"{place}_mod_lin", width, 6 * width)
    for block in range(38):
        place = f"single_blocks_{block}"
        yield Module(f"{place}_linear1", width, 7 * width)
        yield Module(f"{place}_linear2", 5 * width, width)
        yield Module(f"{place}_modulation_lin", width, 3 * width)


def flux_diffusers(width: int = 3072) -> Iterator[Module]:
    """The same blocks as Diffusers names them: 494 modules."""
    for block in range(19):
        place = f"transformer_blocks.{block}"
        for name in (
            "to_q",
            "to_k",
            "to_v",
            "to_out.0",
            "add_q_proj",
            "add_k_proj",
            "add_v_proj",
            "to_add_out",
        ):
            yield Module(f"{place}.attn.{name}", width, width)
        for name in ("ff", "ff_context"):
            yield Module(f"{place}.{name}.net.0.proj", width, 4 * width)
            yield Module(f"{place}.{name}.net.2", 4 * width, width)
        for name in ("norm1", "norm1_context"):
            yield Module(f"{place}.{name}.linear", width, 6 * width)
    for block in range(38):
        place = f"single_transformer_blocks.{block}"
        for name in ("to_q", "to_k", "to_v"):
            yield Module(f"{place}.attn.{name}", width, width)
        yield Module(f"{place}.proj_mlp", width, 4 * width)
        yield Module(f"{place}.proj_out", 5 * width, width)
        yield Module(f"{place}.norm.linear", width, 3 * width)


def write_peft(folder: str, megabytes: float) -> str:
    """An SD1 adapter of that size in fp32, in a new folder, with its configuration; the weights' path."""
    modules = tuple(sd1_attention())
    rank = round(megabytes * 1e6 / 4 / sum(m.inputs + m.outputs for m in modules))
    os.makedirs(folder)
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as config:
        json.dump(
            {
                "peft_type": "LORA",
                "r": rank,
                "lora_alpha": 2 * rank,
                "target_modules": ["to_q", "to_k", "to_v", "to_out.0"],
            },
            config,
        )
    tensors: Tensors = {}
    for module in modules:
        tensors[f"base_model.model.{module.name}.lora_A.weight"] = "F32", (rank, module.inputs)
        tensors[f"base_model.model.{module.name}.lora_B.weight"] = "F32", (module.outputs, rank)
    return write_tensors(os.path.join(folder, "adapter_model.safetensors"), tensors)


def write_kohya_flux(path: str, rank: int, *, width: int = 3072) -> str:
    """A FLUX adapter with fused layers and an alpha beside each of its 304 modules: 912 keys."""
    modules = tuple(flux_native(width))
    tensors: Tensors = {f"lora_unet_{module.name}.alpha": ("BF16", ()) for module in modules}
    for module in modules:
        tensors[f"lora_unet_{module.name}.lora_down.weight"] = "BF16", (rank, module.inputs)
        tensors[f"lora_unet_{module.name}.lora_up.weight"] = "BF16", (module.outputs, rank)
    return write_tensors(path, tensors, _EIGHT * len(modules))


def write_diffusers_flux(path: str, rank: int) -> str:
    """A FLUX adapter whose q, k and v have factors of their own: fusing them takes arithmetic."""
    tensors: Tensors = {}
    for module in flux_diffusers():
        tensors[f"transformer.{module.name}.lora_A.weight"] = "BF16", (rank, module.inputs)
        tensors[f"transformer.{module.name}.lora_B.weight"] = "BF16", (module.outputs, rank)
    return write_tensors(path, tensors)


def write_tensors(path: str, tensors: Tensors, beginning: bytes = b"") -> str:
    """A file of tensors of any finite values that begins with `beginning`; its path."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        start, end = end, end + _bytes(dtype, shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.writelines(
            (struct.pack("<Q", len(text)), text, beginning, *_data(end - len(beginning)))
        )
        os.fsync(file.fileno())
    return path


def _bytes(dtype: str, shape: Iterable[int]) -> int:
    bits = _BITS[dtype]
    for length in shape:
        bits *= length
    return bits // 8


def _data(size: int) -> Iterator[bytes]:
    for _ in range(size // len(_PATTERN)):
        yield _PATTERN
    yield _PATTERN[: size % len(_PATTERN)]
