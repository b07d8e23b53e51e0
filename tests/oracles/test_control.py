"""FLUX.1's control LoRAs: in the names of Black Forest Labs, read as Diffusers reads them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from diffusers.loaders import lora_conversion_utils
from safetensors.torch import load_file, save_file
from torch import Tensor

import lora_convert as lc
from tests.oracles.acting import added
from tests.oracles.models import layers
from tests.oracles.test_geometry import modules

RANK = 4

SIZES: dict[str, Any] = {
    "num_layers": 2,
    "num_single_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "joint_attention_dim": 24,
    "pooled_projection_dim": 32,
    "guidance_embeds": True,
    "axes_dims_rope": (4, 6, 6),
}

PUBLISHED = {"num_layers": 19, "num_single_layers": 38}
"""Depths that Diffusers' converter takes for granted."""

NORMS = {
    "double_blocks.{}.img_attn.norm.query_norm": "transformer_blocks.{}.attn.norm_q",
    "double_blocks.{}.img_attn.norm.key_norm": "transformer_blocks.{}.attn.norm_k",
    "double_blocks.{}.txt_attn.norm.query_norm": "transformer_blocks.{}.attn.norm_added_q",
    "double_blocks.{}.txt_attn.norm.key_norm": "transformer_blocks.{}.attn.norm_added_k",
    "single_blocks.{}.norm.query_norm": "single_transformer_blocks.{}.attn.norm_q",
    "single_blocks.{}.norm.key_norm": "single_transformer_blocks.{}.attn.norm_k",
}


def control(model: FluxTransformer2DModel, *, mlp: int = 0) -> dict[str, Tensor]:
    """A control LoRA of every module; `mlp` is the height of single blocks' first layer, if another."""
    torch.manual_seed(0)
    found: dict[str, Tensor] = {}
    shapes = {name: layer.weight.shape for name, layer in layers(model).items()}
    for native, _, members in modules("flux", "transformer", model):
        height = sum(shapes[name][0] for name in members)
        inputs = shapes[members[0]][1] * (2 if native == "img_in" else 1)
        height = mlp if mlp and native.endswith("linear1") else height
        found[f"{native}.lora_A.weight"] = torch.randn(RANK, inputs) / 8
        found[f"{native}.lora_B.weight"] = torch.randn(height, RANK) / 8
        found[f"{native}.lora_B.bias"] = torch.randn(height)
    for native in NORMS:
        depth = model.config["num_layers" if native.startswith("double") else "num_single_layers"]
        for block in range(depth):
            found[f"{native.format(block)}.scale"] = torch.rand(16)
    return found


def converted(tensors: dict[str, Tensor], to: str, folder: Path) -> Path:
    """A file of `tensors` in another format."""
    source = folder / "control.safetensors"
    save_file(tensors, source)
    assert lc.inspect(str(source)).format == "bfl"
    result = lc.convert(str(source), to, output=str(folder / f"{to}.safetensors"))
    assert result.plan["losses"] == []
    return Path(result.output)


@pytest.fixture(scope="module")
def tiny() -> FluxTransformer2DModel:
    torch.manual_seed(7)
    return FluxTransformer2DModel(in_channels=64, **SIZES)


def test_tensors_are_those_of_the_converter_of_diffusers(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = FluxTransformer2DModel(in_channels=64, **{**SIZES, **PUBLISHED})
    native = control(model, mlp=7 * 3072)
    ours = load_file(converted(native, "diffusers", tmp_path))
    theirs = lora_conversion_utils._convert_bfl_flux_control_lora_to_diffusers(dict(native))
    assert ours.keys() == theirs.keys()
    # whose rows it swaps by halves as if they were outputs
    wrong = {"transformer.norm_out.linear.lora_A.weight"}
    differing = {key for key, tensor in ours.items() if not torch.equal(tensor, theirs[key])}
    assert differing == wrong


def test_diffusers_loads_it_and_enlarges_the_base(
    tiny: FluxTransformer2DModel, tmp_path: Path
) -> None:
    native = control(tiny)
    file = converted(native, "diffusers", tmp_path)
    transformer = copy.deepcopy(tiny)
    names = ("scheduler", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    pipeline = FluxPipeline(**dict.fromkeys(names), transformer=transformer)
    pipeline.load_lora_weights(str(tmp_path), weight_name=file.name)
    assert transformer.config.in_channels == 128
    found = added("transformer", transformer)
    count = 0
    for name, row, members in modules("flux", "transformer", tiny):
        change = native[f"{name}.lora_B.weight"].double() @ native[f"{name}.lora_A.weight"].double()
        bias = native[f"{name}.lora_B.bias"].double()
        for kind, whole in (("weight", change), ("bias", bias)):
            chunks = whole.chunk(len(row.order))
            for member, own in zip(members, row.chunks, strict=True):
                wanted = torch.cat([chunks[chunk] for chunk in own])
                torch.testing.assert_close(found[f"transformer.{member}.{kind}"], wanted)
                count += 1
    assert count == len(found)
    weights = transformer.state_dict()
    for theirs, ours in NORMS.items():
        for block in range(2):
            scale = native[f"{theirs.format(block)}.scale"]
            assert torch.equal(weights[f"{ours.format(block)}.weight"], scale)


def test_comfyui_finds_the_names_it_gives_such_files_itself(
    tiny: FluxTransformer2DModel, tmp_path: Path
) -> None:
    """comfy/lora_convert.py, convert_lora_bfl_control, of 2026."""
    native = control(tiny)
    found = load_file(converted(native, "comfyui", tmp_path))
    alphas = {key for key in found if key.endswith(".alpha")}
    assert {float(found.pop(key)) for key in alphas} == {RANK}
    wanted = {
        "diffusion_model."
        + key.replace(".lora_B.bias", ".diff_b")
        .replace("_norm.scale", "_norm.set_weight")
        .replace("lora_A", "lora_down")
        .replace("lora_B", "lora_up"): tensor
        for key, tensor in native.items()
    }
    wanted["diffusion_model.img_in.reshape_weight"] = torch.tensor([32, 128])
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in wanted.items())


def test_it_comes_back_from_diffusers_and_is_refused_where_norms_have_no_place(
    tiny: FluxTransformer2DModel, tmp_path: Path
) -> None:
    native = control(tiny)
    direct = load_file(converted(native, "comfyui", tmp_path))
    there = converted(native, "diffusers", tmp_path)
    back = lc.convert(str(there), "comfyui", output=str(tmp_path / "back.safetensors"))
    found = load_file(back.output)
    assert found.keys() == direct.keys()
    for key in ("single_blocks.0.norm.key_norm.set_weight", "img_in.reshape_weight"):
        assert torch.equal(found[f"diffusion_model.{key}"], direct[f"diffusion_model.{key}"])
    with pytest.raises(lc.LoraConvertError, match="has no place for weight"):
        lc.convert(str(there), "peft", output=str(tmp_path / "peft"))
