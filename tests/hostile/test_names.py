"""Tensor names that mean something to a programme and nothing to a model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lora_convert
from lora_convert.errors import LoraConvertError
from tests.storage.making import content

MODULES = (
    "a{b",
    "a}b",
    "a{}b",
    "a{0}",
    "{0.__class__.__mro__}",
    "a{{b}}",
    "a#b.1",
    "#",
    "a.5#6",
    "%s.%d",
    "$(touch owned)",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\x",
    "a..b",
    "",
    " ",
    ".",
    "a\0b",
    "\x1b[2J",
    "a\nb",
    "١.to_q",
    "a.²",
    "é1",
    "x" * 10_000,
    "1" * 10_000,
    "a." * 3_000,
    "CON",
    "__class__",
    "\u202e",
    "\ufeff",
    "😀",
)
TEMPLATES = {
    "peft": ("base_model.model.{}.lora_A.weight", "base_model.model.{}.lora_B.weight"),
    "diffusers": ("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight"),
    "bare": ("{}.lora_A.weight", "{}.lora_B.weight"),
    "adapter": ("base_model.model.to_q.lora_A.{}.weight", "base_model.model.to_q.lora_B.{}.weight"),
    "kohya": ("lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight"),
}


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("module", MODULES, ids=lambda module: ascii(module)[1:20])
def test_any_name_is_converted_or_refused(module: str, template: str, tmp_path: Path) -> None:
    """What is converted comes back under the same name, and nothing is written elsewhere."""
    down, up = (name.replace("{}", module) for name in TEMPLATES[template])
    path = tmp_path / "in" / "x.safetensors"
    path.parent.mkdir()
    path.write_bytes(content({down: ("F32", (2, 8)), up: ("F32", (8, 2))}))
    lora_convert.inspect(str(path))
    for to in ("diffusers", "peft", "accelerate", "kohya"):
        try:
            result = lora_convert.convert(str(path), to, output=str(tmp_path / "out" / to))
            back = lora_convert.verify(str(path), result.output, architecture=None)
        except LoraConvertError as error:
            assert "VerificationError" not in type(error).__name__, error
        else:
            assert back.exact
    assert set(os.listdir(tmp_path)) <= {"in", "out"}
    assert not Path("owned").exists()
