"""Wan 2.2 has two transformers of one shape: --component says which, and Diffusers loads it there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file

import lora_convert as lc
from lora_convert.cli import main
from lora_convert.errors import NotExpressibleError
from lora_convert.operations.assembling import Assembly
from lora_convert.operations.pieces import Options
from lora_convert.operations.pipeline import plan_pipeline
from tests.oracles.acting import adapted, added, farthest

CONFIG = {
    "r": 4,
    "lora_alpha": 6,
    "target_modules": ["to_q", "to_out.0", "net.0.proj", "time_proj", "patch_embedding"],
}


def transformer(seed: int) -> WanTransformer3DModel:
    torch.manual_seed(seed)
    return WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
    )


@pytest.fixture
def wan() -> WanPipeline:
    """The part of a pipeline that adapters touch."""
    return WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=None,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        transformer=transformer(1),
        transformer_2=transformer(2),
    )


def trained(model: WanTransformer3DModel, folder: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    """A PEFT adapter of `model` in `folder`, and what it adds."""
    adapter = adapted(model, seed=seed, **CONFIG)
    adapter.save_pretrained(folder)
    return added("transformer_2", adapter)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """A model's, from one file or several."""
    files = folder.glob("*.safetensors")
    return {key: tensor for file in files for key, tensor in load_file(file).items()}


@pytest.mark.parametrize("middle", ["kohya", "diffusers", "accelerate"])
def test_the_second_is_loaded_into_the_second(
    middle: str, wan: WanPipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = trained(wan.transformer_2, tmp_path / "trained")
    between = lc.convert(
        str(tmp_path / "trained"),
        middle,
        output=str(tmp_path / "between"),
        component="transformer_2",
    ).output
    found = lc.inspect(between, component="transformer_2")
    assert (found.architecture, found.components) == ("wan", ("transformer_2",))
    output = tmp_path / "pytorch_lora_weights.safetensors"
    command = ["convert", between, "--to", "diffusers", "--component", "transformer_2"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "-o", str(output), "--force"])
    assert not ended.value.code
    assert "load_into_transformer_2=True" in capsys.readouterr().err
    assert all(name.startswith("transformer.") for name in load_file(output))
    wan.load_lora_weights(str(output), load_into_transformer_2=True)
    assert farthest(added("transformer_2", wan.transformer_2), wanted) == 0
    assert added("transformer", wan.transformer) == {}


def test_it_is_merged_into_the_second(wan: WanPipeline, tmp_path: Path) -> None:
    wan.save_pretrained(tmp_path / "base")
    wanted = trained(wan.transformer_2, tmp_path / "trained")
    plan = plan_pipeline(
        str(tmp_path / "trained"),
        base=str(tmp_path / "base"),
        output=tmp_path / "out",
        options=Options(),
        component="transformer_2",
    )
    with plan:
        Assembly(plan).run()
    for name in ("transformer", "transformer_2"):
        before, after = (weights(tmp_path / where / name) for where in ("base", "out"))
        changed = {f"{name}.{key}" for key in before if not torch.equal(before[key], after[key])}
        assert changed == (set(wanted) if name == "transformer_2" else set())


def test_both_have_the_same_names_in_one_file(wan: WanPipeline, tmp_path: Path) -> None:
    for name in ("transformer", "transformer_2"):
        trained(getattr(wan, name), tmp_path / "trained" / name)
    source = str(tmp_path / "trained")
    assert lc.inspect(source).components == ("transformer", "transformer_2")
    for format_name in ("kohya", "diffusers"):
        with pytest.raises(NotExpressibleError, match="transformer and transformer_2"):
            lc.convert(source, format_name, output=str(tmp_path / format_name))
    result = lc.convert(source, "accelerate", output=str(tmp_path / "accelerate"))
    assert lc.inspect(result.output).components == ("transformer", "transformer_2")
