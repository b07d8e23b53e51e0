"""Factors, magnitudes and cores of any shape: a result or a typed error, looked at in every way."""

from __future__ import annotations

from pathlib import Path

import pytest

import lora_convert
from lora_convert.errors import LoraConvertError
from lora_convert.tensors.evaluate import computed_blocks
from lora_convert.tensors.expr import Cast
from lora_convert.tensors.source import Source
from tests.storage.making import adapter_tensors, content

KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
PEFT = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
SOUND: dict[str, dict[str, tuple[int, ...]]] = {
    "kohya": {
        f"{KOHYA}.lora_down.weight": (2, 8),
        f"{KOHYA}.lora_up.weight": (8, 2),
        f"{KOHYA}.lora_mid.weight": (2, 2, 3, 3),
        f"{KOHYA}.dora_scale": (8, 1),
        f"{KOHYA}.alpha": (),
        f"{KOHYA}.scale": (),
    },
    "peft": {
        f"{PEFT}.lora_A.weight": (2, 8),
        f"{PEFT}.lora_B.weight": (8, 2),
        f"{PEFT}.lora_magnitude_vector": (8,),
        f"{PEFT}.lora_B.bias": (8,),
    },
}
ODD: tuple[tuple[int, ...], ...] = (
    (),
    (0,),
    (1,),
    (2,),
    (8,),
    (0, 0),
    (0, 8),
    (2, 0),
    (1, 1),
    (1, 8),
    (8, 1),
    (2, 8, 1),
    (2, 8, 1, 1),
    (2, 8, 3, 3),
    (1,) * 8,
    (2, 2, 2, 2, 2),
    (2, 0, 3, 3),
)


def survives(path: Path) -> None:
    """Everything that can be done with a file ends in a result or a typed error."""
    lora_convert.inspect(str(path), health=True)
    for to in ("diffusers", "peft", "kohya"):
        try:
            lora_convert.convert(str(path), to, output=str(path.parent / to), force=True)
        except LoraConvertError as error:
            assert "VerificationError" not in type(error).__name__, error
    try:
        lora_convert.verify(str(path), str(path))
    except LoraConvertError as error:
        assert str(error)


@pytest.mark.parametrize("shape", ODD, ids=str)
@pytest.mark.parametrize("name", [name for sound in SOUND.values() for name in sound])
def test_one_tensor_of_an_odd_shape(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    sound = next(sound for sound in SOUND.values() if name in sound)
    for others in (sound, {}, {other: sound[other] for other in list(sound)[:2]}):
        path = tmp_path / "x.safetensors"
        path.write_bytes(
            content({other: ("F32", place) for other, place in {**others, name: shape}.items()})
        )
        survives(path)


@pytest.mark.parametrize("shape", [(1 << 58, 0), (0, 1 << 58), (1 << 58, 0, 3)])
def test_a_tensor_of_many_rows_of_nothing_takes_no_time(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    """Found by the campaign: its rows were counted one block after another."""
    path = tmp_path / "a.safetensors"
    names = adapter_tensors()
    path.write_bytes(content({**names, "base_model.model.x.weight": ("F32", shape)}))
    assert lora_convert.inspect(str(path), health=True).health is not None
    up = next(name for name in names if "lora_B" in name)
    path.write_bytes(content({**names, up: ("F32", shape)}))
    assert lora_convert.inspect(str(path), health=True).health is not None
    empty = Cast(Source(0, "x", "F32", shape, 0, 0), "F16")
    assert b"".join(computed_blocks(empty, lambda extent: b"")) == b""
