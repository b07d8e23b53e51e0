"""Merging into checkpoints of one file, with Diffusers' converters as witnesses of what was changed."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders import single_file_utils
from safetensors.torch import load_file, save_file
from torch import nn

from lora_convert.architectures import ARCHITECTURES, fill, find
from lora_convert.errors import BaseMismatchError, DestinationExistsError, OptionError
from lora_convert.operations.merging import Added, plan_merge
from tests.oracles.acting import adapted_pipeline, saved
from tests.oracles.tiny_models import models

Weights = dict[str, torch.Tensor]
UNET = {"r": 4, "lora_alpha": 8, "target_modules": ["to_q", "to_v", "proj_in", "conv1"]}
TEXT = {"r": 2, "lora_alpha": 3, "target_modules": ["q_proj", "v_proj", "out_proj", "fc1"]}


def merged(into: Path, output: Path, *adapters: tuple[Path, float]) -> Weights:
    with plan_merge(
        [Added(str(path), times) for path, times in adapters], str(into), str(output)
    ) as plan:
        done = plan.apply()
    assert done.status == "written"
    assert output.stat().st_size == done.plan["bytes"]
    return load_file(output)


def ldm_unet(architecture: str) -> Weights:
    """The tiny UNet in its authors' names: layers by the table, which the converter agrees with."""
    found = {}
    for name, weight in models(architecture)["unet"].state_dict().items():
        module, _, leaf = name.rpartition(".")
        entry, digits = find(ARCHITECTURES[architecture], module, "unet")
        if entry is not None:
            native = fill(entry.row.native, entry.wildcards(digits))
            found[f"model.diffusion_model.{native}.{leaf}"] = weight.clone()
    for name in ("out.0.weight", "out.0.bias"):
        found[f"model.diffusion_model.{name}"] = torch.zeros(1)
    return found


def of_unet(checkpoint: Weights, unet: nn.Module) -> Weights:
    config = {**json.loads(unet.to_json_string()), "class_embed_type": None}
    return single_file_utils.convert_ldm_unet_checkpoint(dict(checkpoint), config)


def expected(adapters: dict[str, Any], component: str, times: float = 1.0) -> Weights:
    """What PEFT merges, at a strength."""
    wrapped = adapters[component]
    base = models_of(wrapped)
    whole = wrapped.merge_and_unload().state_dict()
    return {name: base[name] + times * (whole[name] - base[name]) for name in base}


def models_of(wrapped: Any) -> Weights:
    return {
        name.replace(".base_layer.", "."): value.clone()
        for name, value in wrapped.get_base_model().state_dict().items()
        if "lora_" not in name
    }


def check(found: Weights, wanted: Weights) -> int:
    """Compare what both have; returns how much that was."""
    shared = {name for name in found.keys() & wanted.keys() if "conv_norm_out" not in name}
    for name in shared:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-6, atol=1e-7)
    return len(shared)


def test_a_checkpoint_of_one_file(tmp_path: Path) -> None:
    adapters = adapted_pipeline("sd1", {"unet": UNET, "text_encoder": TEXT})
    peft = saved(adapters, tmp_path / "peft")
    text = {
        f"cond_stage_model.transformer.text_model.{name}": value.clone()
        for name, value in models("sd1")["text_encoder"].state_dict().items()
    }
    rest = {"first_stage_model.x": torch.randn(3), "alphas_cumprod": torch.randn(5)}
    save_file({**ldm_unet("sd1"), **text, **rest}, tmp_path / "base.safetensors", {"who": "me"})
    found = merged(tmp_path / "base.safetensors", tmp_path / "out.safetensors", (peft, 1.0))
    assert found.keys() == {*ldm_unet("sd1"), *text, *rest}
    assert check(of_unet(found, models("sd1")["unet"]), expected(adapters, "unet")) > 60
    wanted = {
        f"cond_stage_model.transformer.text_model.{name}": value
        for name, value in expected(adapters, "text_encoder").items()
    }
    assert check(found, wanted) == len(text)
    assert all(torch.equal(found[name], value) for name, value in rest.items())


def test_a_text_encoder_in_open_clip_s_names(tmp_path: Path) -> None:
    """q, k and v lie in one parameter there; only two of them are adapted."""
    adapters = adapted_pipeline("sdxl", {"text_encoder_2": TEXT})
    peft = saved(adapters, tmp_path / "peft")
    model = models("sdxl")["text_encoder_2"]
    weights, start = model.state_dict(), "conditioner.embedders.1.model."
    base = {f"{start}transformer.unrelated": torch.randn(2)}
    for layer, leaf in product(range(2), ("weight", "bias")):
        inner = f"text_model.encoder.layers.{layer}"
        outer = f"{start}transformer.resblocks.{layer}"
        stacked = [weights[f"{inner}.self_attn.{name}_proj.{leaf}"] for name in "qkv"]
        base[f"{outer}.attn.in_proj_{leaf}"] = torch.cat(stacked)
        for ours, theirs in (("self_attn.out_proj", "attn.out_proj"), ("mlp.fc1", "mlp.c_fc")):
            base[f"{outer}.{theirs}.{leaf}"] = weights[f"{inner}.{ours}.{leaf}"].clone()
    save_file(base, tmp_path / "base.safetensors")
    found = merged(tmp_path / "base.safetensors", tmp_path / "out.safetensors", (peft, 1.0))
    converted = single_file_utils.convert_open_clip_checkpoint(model, found, prefix=start)
    assert check(converted, expected(adapters, "text_encoder_2")) == 2 * 2 * 5


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_fused_layers(prefix: str, tmp_path: Path) -> None:
    targets = [
        "to_q",
        "to_v",
        "add_k_proj",
        "proj_mlp",
        "proj_out",
        "norm_out.linear",
        "x_embedder",
    ]
    adapters = adapted_pipeline("flux", {"transformer": {**UNET, "target_modules": targets}})
    peft = saved(adapters, tmp_path / "peft")
    weights = models("flux")["transformer"].state_dict()
    base: Weights = {}
    (part,) = (c for c in ARCHITECTURES["flux"].components if c.name == "transformer")
    for row in part.rows:
        for digits in product("01", repeat=row.native.count("{}")):
            for leaf in ("weight", "bias"):
                parts = [weights[f"{fill(name, digits)}.{leaf}"] for name in row.diffusers]
                whole = torch.cat(parts)
                whole = whole.roll(len(whole) // 2, 0) if row.order == (1, 0) else whole
                base[f"{prefix}{fill(row.native, digits)}.{leaf}"] = whole.clone()
    save_file(base, tmp_path / "base.safetensors")
    found = merged(tmp_path / "base.safetensors", tmp_path / "out.safetensors", (peft, 1.0))
    parted: Weights = {}
    for row in part.rows:  # the table, which Diffusers' converter agrees with in published sizes
        for digits in product("01", repeat=row.native.count("{}")):
            names = [fill(name, digits) for name in row.diffusers]
            for leaf in ("weight", "bias"):
                whole = found[f"{prefix}{fill(row.native, digits)}.{leaf}"]
                whole = whole.roll(len(whole) // 2, 0) if row.order == (1, 0) else whole
                heights = [len(weights[f"{name}.{leaf}"]) for name in names]
                parts = whole.split(heights)
                parted |= {f"{n}.{leaf}": v for n, v in zip(names, parts, strict=True)}
    assert check(parted, expected(adapters, "transformer")) > 60


def test_several_adapters_and_strengths_are_rounded_once(tmp_path: Path) -> None:
    both = [adapted_pipeline("sd1", {"unet": {**UNET, "target_modules": ["to_q"]}}) for _ in "ab"]
    for number, adapters in enumerate(both):
        for name, value in adapters["unet"].named_parameters():
            if "lora_" in name:
                value.data = value.data * (number + 1)
    folders = [saved(adapters, tmp_path / f"peft{n}") for n, adapters in enumerate(both)]
    base = {name: value.half() for name, value in models("sd1")["unet"].state_dict().items()}
    save_file(base, tmp_path / "unet.safetensors")
    times = (0.5, -1.25)
    found = merged(
        tmp_path / "unet.safetensors",
        tmp_path / "out.safetensors",
        *zip(folders, times, strict=True),
    )
    changes = []
    for adapters, strength in zip(both, times, strict=True):
        plain = models_of(adapters["unet"])
        whole = expected(adapters, "unet", strength)
        changes.append({name: whole[name] - plain[name] for name in plain})
    for name, value in base.items():
        exact = value.double() + sum(change[name].double() for change in changes)
        step = torch.finfo(torch.float16).eps * exact.abs() * 0.51 + 1e-7
        assert ((found[name].double() - exact).abs() <= step).all(), name


def test_what_does_not_fit_is_not_merged(tmp_path: Path) -> None:
    peft = saved(adapted_pipeline("sd1", {"unet": UNET}), tmp_path / "peft")
    base = ldm_unet("sd1")
    gone = next(name for name in base if "attn1.to_q.weight" in name)
    save_file({n: v for n, v in base.items() if n != gone}, tmp_path / "base.safetensors")
    output = tmp_path / "out.safetensors"
    with pytest.raises(BaseMismatchError, match="no weight for 1 modules"):
        merged(tmp_path / "base.safetensors", output, (peft, 1.0))
    with pytest.raises(OptionError, match="output"):
        merged(tmp_path / "base.safetensors", tmp_path / "out", (peft, 1.0))
    save_file(base, tmp_path / "base.safetensors")
    with pytest.raises(DestinationExistsError, match="exists already"):
        merged(tmp_path / "base.safetensors", tmp_path / "base.safetensors", (peft, 1.0))
    assert not output.exists()
