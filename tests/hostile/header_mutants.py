"""Safetensors files near sound ones: edited where they have structure, and anywhere."""

from __future__ import annotations

import json
import random
import struct

from lora_convert.tensors.dtypes import BITS
from tests.hostile.mutants import KOHYA, NUMBERS, TEXTS, edited_bytes
from tests.storage.making import adapter_tensors, content


class Safetensors:
    """Safetensors files."""

    seeds = (
        content(adapter_tensors(), {"format": "pt"}),
        content(
            {
                f"{KOHYA}.lora_down.weight": ("F16", (2, 8)),
                f"{KOHYA}.lora_up.weight": ("F16", (8, 2)),
                f"{KOHYA}.alpha": ("F32", ()),
                f"{KOHYA}.dora_scale": ("F32", (8, 1)),
            },
            {"ss_network_dim": "2"},
        ),
        content(
            {
                "down_blocks.0.resnets.0.conv1.lora_A.weight": ("BF16", (2, 4, 3, 3)),
                "down_blocks.0.resnets.0.conv1.lora_B.weight": ("BF16", (4, 2, 1, 1)),
            },
            {"lora_adapter_metadata": json.dumps({"r": 2, "lora_alpha": 4})},
        ),
        content({}, {}),
        content({f"x{dtype}": (dtype, (2, 4)) for dtype in BITS}),
    )
    modules = ("kinds", "safetensors", "checkpoint")
    _values = (
        *NUMBERS,
        *TEXTS,
        True,
        False,
        None,
        2.0,
        1e300,
        [],
        {},
        [[]],
        [0, 0],
        "F32",
        "I8",
        "F4",
        "F8_E4M3",
    )

    def mutant(self, draw: random.Random, data: bytes, other: bytes) -> bytes:
        """A file near `data`, or between it and `other`."""
        length = int.from_bytes(data[:8], "little")
        header, body = data[8 : 8 + length], data[8 + length :]
        if draw.random() < 0.8:
            header, body = self._edited(draw, header, body)
        elif draw.random() < 0.7:
            header = edited_bytes(draw, header, 2) if header else b"{"
        else:
            return edited_bytes(draw, data)
        if draw.random() < 0.05:
            body = draw.choice((body[:-1], body + b"\0", body[::-1], b"", body * 2))
        if draw.random() < 0.05:
            header += draw.choice((b" ", b"\n\t ", b"\0", b"{}", b" " * 7))
        size = len(header) if draw.random() < 0.98 else draw.choice(NUMBERS) & (1 << 64) - 1
        return struct.pack("<Q", size) + header + body

    def _edited(self, draw: random.Random, header: bytes, body: bytes) -> tuple[bytes, bytes]:
        try:
            fields = json.loads(header)
        except (ValueError, RecursionError):
            return edited_bytes(draw, header, 2), body
        if not isinstance(fields, dict):
            return edited_bytes(draw, header, 2), body
        for _ in range(draw.choice((1, 1, 2, 3))):
            self._edit(draw, fields)
        if draw.random() < 0.6:
            body = _laid_out(fields, body)
        ascii_only = draw.random() < 0.5
        text = json.dumps(fields, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        if draw.random() < 0.02:
            text = text[:-1] + b"," + text[1:]  # every name twice
        return text, body

    def _edit(self, draw: random.Random, fields: dict[str, object]) -> None:
        names = [name for name in fields if name != "__metadata__"]
        name = draw.choice(names) if names else ""
        entry = fields.get(name)
        match draw.randrange(7):
            case 0 if names:
                fields[draw.choice(TEXTS)] = fields.pop(name)
            case 1 if names:
                del fields[name]
            case 2:
                fields[draw.choice(TEXTS)] = draw.choice(self._values)
            case 3:
                pair = {draw.choice(TEXTS): draw.choice(self._values)}
                fields["__metadata__"] = draw.choice((pair, draw.choice(self._values)))
            case 4 | 5 if isinstance(entry, dict):
                field = draw.choice(("dtype", "shape", "data_offsets", "more"))
                inner = entry.get(field)
                if isinstance(inner, list) and inner and draw.random() < 0.7:
                    inner[draw.randrange(len(inner))] = draw.choice(self._values)
                else:
                    entry[field] = draw.choice(self._values)
            case _ if len(names) > 1:
                to = draw.choice(names)
                fields[name], fields[to] = fields[to], fields[name]


def _laid_out(fields: dict[str, object], body: bytes) -> bytes:
    """Bytes as many as the entries of a header need, once these say so."""
    place = 0
    for name, entry in fields.items():
        shape = entry.get("shape") if isinstance(entry, dict) and name != "__metadata__" else None
        bits = BITS.get(str(entry.get("dtype")), 8) if isinstance(entry, dict) else 8
        if isinstance(shape, list) and all(type(n) is int and 0 <= n < 99 for n in shape):
            for length in shape:
                bits *= length
            if bits % 8 == 0 and bits < 1 << 16:
                entry["data_offsets"] = [place, place + bits // 8]  # type: ignore[index]
                place += bits // 8
    return (body * (place // max(len(body), 1) + 1))[:place] if body else bytes(place)
