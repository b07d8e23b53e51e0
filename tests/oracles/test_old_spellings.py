"""Names that Diffusers wrote in earlier years act as Diffusers' own loader makes them act."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safetensors.torch import save_file

import lora_convert as lc
from tests.oracles.acting import (
    adapted_pipeline,
    added_by,
    farthest,
    loaded_by_diffusers,
    loaded_by_peft,
)
from tests.oracles.cases import ATTENTION, CLIP
from tests.oracles.kohya_writer import factors, layers

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor

CLIP_ATTENTION = CLIP[:4]


def processors(module: str) -> str:
    """``attn1.to_out.0`` as ``attn1.processor.to_out_lora``."""
    parent, _, leaf = module.removesuffix(".0").rpartition(".")
    return f"{parent}.processor.{leaf}_lora"


def lora_layers(module: str) -> str:
    return f"{module}.lora"


def lora_layers_of_processors(module: str) -> str:
    return f"{module.replace('.to_', '.processor.to_')}.lora"


def linear_layers(module: str) -> str:
    return f"text_model.{module}.lora_linear_layer"


def projections(module: str) -> str:
    """``self_attn.q_proj`` as ``self_attn.to_q_lora``."""
    parent, _, leaf = module.rpartition(".")
    return f"text_model.{parent}.to_{leaf.removesuffix('_proj')}_lora"


Spelling = Callable[[str], str]
UNET_SPELLINGS: tuple[Spelling, ...] = (processors, lora_layers, lora_layers_of_processors)
TEXT_SPELLINGS: tuple[Spelling, ...] = (linear_layers, projections)


def write(adapters: dict[str, PeftModel], file: Path, **spelled: Spelling) -> Path:
    """The factors in a spelling for each component; these files know no scale but 1."""
    tensors: dict[str, Tensor] = {}
    for component, adapter in adapters.items():
        for module, layer in layers(adapter).items():
            down, up, _ = factors(layer)
            name = f"{component}.{spelled[component](module)}"
            tensors |= {
                f"{name}.down.weight": down.contiguous(),
                f"{name}.up.weight": up.contiguous(),
            }
    save_file(tensors, file)
    return file


@pytest.mark.parametrize("text", TEXT_SPELLINGS, ids=lambda spelling: spelling.__name__)
@pytest.mark.parametrize("unet", UNET_SPELLINGS, ids=lambda spelling: spelling.__name__)
def test_old_names_act_the_same(unet: Spelling, text: Spelling, tmp_path: Path) -> None:
    """As the file itself does in Diffusers, and as the adapter did in PEFT at scale 1."""
    scale = {"r": 4, "lora_alpha": 4}
    adapters = adapted_pipeline(
        "sd1",
        {
            "unet": {"target_modules": ATTENTION, **scale},
            "text_encoder": {"target_modules": CLIP_ATTENTION, **scale},
        },
    )
    old = write(adapters, tmp_path / "old.safetensors", unet=unet, text_encoder=text)
    expected = added_by(adapters)
    assert farthest(loaded_by_diffusers("sd1", old), expected) == 0, (
        "the file is not one that Diffusers reads"
    )
    assert lc.inspect(str(old)).scale_source == "assumed"
    for to, load in (("diffusers", loaded_by_diffusers), ("peft", loaded_by_peft)):
        result = lc.convert(str(old), to, output=str(tmp_path / to))
        assert farthest(load("sd1", Path(result.output)), expected) == 0
