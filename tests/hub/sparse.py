"""LoRA files of any size that take no room: a header, scalars where they belong, and holes."""

from __future__ import annotations

import json
import struct
from pathlib import Path

MODULES = 240
ALPHA = 8.0
RANK = 16


def write_sparse(path: Path, size: int, *, alphas: str, modules: int = MODULES) -> int:
    """Write a kohya LoRA of SDXL's attention, about `size` bytes long; the bytes of its header.

    `alphas` says where its alphas lie: ``first``, as safetensors sorts fp32 scalars before fp16 factors,
    or ``between`` the factors, as it sorts where all are of one dtype.
    """
    width = size // (modules * 2 * RANK * 2)
    shapes: dict[str, tuple[str, list[int]]] = {}
    dtype = "F32" if alphas == "first" else "F16"
    for number in range(modules):
        block, rest = divmod(number, 6)
        attention, part = divmod(rest, 3)
        name = f"lora_unet_input_blocks_4_1_transformer_blocks_{block}_attn{attention + 1}_to_{'qkv'[part]}"
        shapes[f"{name}.alpha"] = (dtype, [])
        shapes[f"{name}.lora_down.weight"] = ("F16", [RANK, width])
        shapes[f"{name}.lora_up.weight"] = ("F16", [width, RANK])
    header: dict[str, object] = {}
    alpha_places, place = [], 0
    order = sorted(shapes, key=lambda name: (shapes[name][0] != "F32", name))
    for name in order:
        kind, shape = shapes[name]
        length = 4 if kind == "F32" else 2
        for side in shape:
            length *= side
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + length]}
        if not shape:
            alpha_places.append(place)
        place += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + place)
        for at in alpha_places:
            file.seek(8 + len(text) + at)
            file.write(struct.pack("<f" if dtype == "F32" else "<e", ALPHA))
    return 8 + len(text)
