"""Every hostile source there is, in one folder: files, folders, configurations, indexes, and none at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from fixtures.hostile.make import CONTAINERS, MEANINGS, ODDITIES
from tests.hostile.test_configurations import DOCUMENTS, FIELDS
from tests.storage.making import PEFT, UNET, adapter_tensors, content, peft_folder

CONTROLS = "".join(map(chr, (*range(1, 32), *range(127, 160))))
STEERING = {
    "control bytes": f"a{CONTROLS}b",
    "a colour": "\x1b[31mred\x1b[0m",
    "a title": "\x1b]0;owned\x07",
    "a link": "\x1b]8;;http://localhost\x1b\\x\x1b]8;;\x1b\\",
    "an eight-bit escape": "\x9b31m",
    "a line of its own": "a\nFORGED: 128 modules, bit-exact",
    "a line written over": "a\rFORGED: bit-exact",
    "other ends of lines": "a\u2028FORGED\u2029FORGED\x85FORGED\x0bFORGED\x0cFORGED",
    "right to left": "\u202egpj.exe\u2066\u2067\u2068\u2069\u200f\u061c",
    "nothing to see": "\u200b\u200c\u200d\u2060\ufeff\u00ad",
    "tags": "\U000e0041\U000e0042",
    "half of a pair": "a\ud800b",
    "a private character": "\ue000\U000f0000",
}
"""Texts that do something to a terminal, a log or a reader, each by another way."""


def sources(folder: Path) -> dict[str, str]:
    """The path of each source, made in a folder, by a name that says what it is."""
    found = {}
    for name, data in (CONTAINERS | MEANINGS | ODDITIES).items():
        found[name] = str(_file(folder / "files" / f"{name}.safetensors", data))
    for name, fields in FIELDS.items():
        found[f"config: {name}"] = str(peft_folder(folder / f"config-{name}", **dict([fields])))
    for name, data in DOCUMENTS.items():
        made = peft_folder(folder / f"document-{name}")
        (made / "adapter_config.json").write_bytes(data)
        found[f"document: {name}"] = str(made)
    for name, make in _FOLDERS.items():
        (folder / name).mkdir()
        found[name] = str(make(folder / name))
    found["nothing"] = str(folder / "gone")
    return found


def steering(folder: Path) -> dict[str, str]:
    """Sources whose names, metadata, configurations and paths hold what steers a terminal."""
    found = {}
    for number, (what, text) in enumerate(STEERING.items()):
        sound = "\ud800" not in text
        place = folder / f"steering-{number}"
        given = {
            "a tensor": content({f"{text}.lora_A.weight": ("F32", (2, 8))}) if sound else b"",
            "a module": content(adapter_tensors(f"{PEFT}.{text}")) if sound else b"",
            "metadata": content(adapter_tensors(UNET), {f"k{text}": f"v{text}"}) if sound else b"",
            "a header's configuration": content(
                adapter_tensors(UNET), {"lora_adapter_metadata": json.dumps({f"unet.{text}": text})}
            ),
            "a dtype": _one_entry(text, [2, 8]),
            "a shape": _one_entry("F32", text),
        }
        for kind, data in given.items():
            name = f"{number}-{kind.replace(' ', '-')}.safetensors"
            found[f"{what} in {kind}"] = str(_file(place / name, data))
        for field in ("r", "peft_type", "lora_alpha", "base_model_name_or_path", text):
            made = peft_folder(place / f"config-{ascii(field)[1:9]}", **{field: text})
            found[f"{what} in the configuration's {field!a}"] = str(made)
        index = place / "sharded" / "model.safetensors.index.json"
        _file(index, json.dumps({"weight_map": {text: text}}).encode())
        found[f"{what} in an index"] = str(index)
        if os.name != "nt" and "\ud800" not in text:
            path = place / f"named {text}.safetensors"
            found[f"{what} in a path"] = str(_file(path, content(adapter_tensors())))
            found[f"{what} in a broken file's path"] = str(_file(place / f"broken {text}", b"x"))
            found[f"{what} in a path that is not there"] = str(place / f"gone {text}")
    return found


def _file(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _one_entry(dtype: str, shape: object) -> bytes:
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, 64]}
    header = json.dumps({"x": entry}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(64)


def _indexed(**fields: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return _file(folder / "model.safetensors.index.json", json.dumps(fields).encode())

    return make


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "x.safetensors")
    return folder / "x.safetensors"


_FOLDERS: dict[str, Callable[[Path], Path]] = {
    "an empty folder": lambda folder: folder,
    "an index without a map": _indexed(),
    "an index of nothing": _indexed(weight_map={}),
    "an index out of its folder": _indexed(weight_map={"a": "../x"}),
    "an index of what is not there": _indexed(weight_map={"a": "x.safetensors"}),
} | ({} if os.name == "nt" else {"a fifo": _fifo})
