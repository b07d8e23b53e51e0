"""What training scripts save around their weights: every layout is read, and nothing in it is refused."""

from __future__ import annotations

import argparse
import json
import pathlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lora_convert as lc
from lora_convert.errors import (
    AmbiguousCheckpointError,
    CorruptCheckpointError,
)
from tests.hostile.answering import answer
from tests.storage.payloads import CONFIG, LORA_CONFIG, WEIGHTS, bare, saved, twin
from tests.writing import ATTENTION


def optimizer_state() -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a real AdamW after a step, and of its schedule."""
    parameters = [nn.Parameter(value.clone()) for value in WEIGHTS.values()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, foreach=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    sum(p.square().sum() for p in parameters).backward()
    optimizer.step()
    schedule.step()
    return optimizer.state_dict(), schedule.state_dict()


OPTIMIZER, SCHEDULE = optimizer_state()


def beside(**more: Any) -> dict[str, Any]:
    return {
        "epoch": 3, "global_step": 1500, "optimizer": OPTIMIZER, "lr_scheduler": SCHEDULE,
        "loss": torch.tensor(0.25), "metadata": {"trained": "by hand"}, "rng_state": torch.get_rng_state(),
        "args": argparse.Namespace(lr=1e-4, output_dir=pathlib.Path("out"), seed=None), **more,
    }  # fmt: skip


LAYOUTS: dict[str, Any] = {
    "model_state_dict": beside(model_state_dict=WEIGHTS, lora_config=CONFIG),
    "state_dict": beside(state_dict=WEIGHTS, lora_config=LORA_CONFIG.to_dict()),
    "model": beside(model=WEIGHTS, peft_config=LORA_CONFIG),
    "module": beside(module=WEIGHTS, config=CONFIG),
    "lora": beside(lora=WEIGHTS, lora_config=CONFIG),
    "lora_state_dict": beside(lora_state_dict=bare(), lora_config=CONFIG),
    "adapter": {"adapter": {"weights": WEIGHTS, "config": CONFIG}},
    "by adapter": beside(model=WEIGHTS, peft_config={"default": LORA_CONFIG}),
    "by adapter, as dict": beside(model=WEIGHTS, lora_config={"default": LORA_CONFIG.to_dict()}),
    "alpha beside": beside(state_dict=WEIGHTS, rank=4, alpha=10),
    "lora_alpha beside": beside(state_dict=WEIGHTS, lora_rank=4, lora_alpha=10.0),
    "alpha among the weights": {**WEIGHTS, "lora_alpha": 10, "r": 4},
    "arguments": beside(unet=WEIGHTS)
    | {"args": argparse.Namespace(lora_rank=4, lora_alpha=10, lr=1e-4)},
    "hyper-parameters": {
        "epoch": 2, "global_step": 50, "pytorch-lightning_version": "2.5.0", "state_dict": WEIGHTS,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.1)}},
        "optimizer_states": [OPTIMIZER], "lr_schedulers": [SCHEDULE], "hparams_name": "kwargs",
        "hyper_parameters": {"lora_rank": 4, "lora_alpha": 10, "lr": 1e-4},
    },
    "EMA beside": beside(model=WEIGHTS, lora_config=CONFIG, ema={k: v * 0.5 for k, v in WEIGHTS.items()}),
    "EMA's shadow beside": beside(
        state_dict=WEIGHTS, lora_config=CONFIG,
        ema_state={"decay": 0.999, "shadow_params": [v.clone() for v in WEIGHTS.values()]}),
    "numpy alpha": beside(state_dict=WEIGHTS, lora_config=CONFIG | {"lora_alpha": np.float64(10)}),
    "a tuple": (WEIGHTS, {"lora_config": CONFIG}),
    "a list": [{"lora_config": CONFIG}, WEIGHTS],
    "deep": {"checkpoint": {"model": {"state_dict": WEIGHTS, "lora_config": CONFIG}}, "epoch": 1},
    "whole model": beside(
        model_state_dict={
            f"base_model.model.{ATTENTION}.to_q.base_layer.weight": torch.ones(8, 8),
            "base_model.model.conv_in.weight": torch.ones(4, 4, 3, 3), **WEIGHTS,
        },
        lora_config=CONFIG),
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_acts_as_its_safetensors_twin(
    layout: str, protocol: int, tmp_path: Path
) -> None:
    path = saved(LAYOUTS[layout], tmp_path / "x.pth", protocol)
    found = lc.inspect(path)
    assert (found.scale_source, found.scales, found.unexplained) == ("payload", {"2.5": 4}, ())
    peft = twin(tmp_path / "twin")
    assert lc.verify(path, peft).exact
    ours = lc.convert(path, "diffusers", output=tmp_path / "a.safetensors")
    theirs = lc.convert(peft, "diffusers", output=tmp_path / "b.safetensors")
    assert ours.proof.exact
    assert lc.verify(ours.output, theirs.output).exact


TEXT = tuple(f"text_model.encoder.layers.0.self_attn.{n}_proj" for n in "qkv")


@pytest.mark.parametrize(
    "names",
    [
        (f"unet{ending}", f"text_encoder{ending}")
        for ending in ("", "_lora", "_state_dict", "_lora_layers")
    ],
)
def test_components_have_their_parts_and_configurations(
    names: tuple[str, str], tmp_path: Path
) -> None:
    text = {
        f"base_model.model.{name}.lora_{side}.weight": torch.ones(shape)
        for name in TEXT
        for side, shape in (("A", (2, 768)), ("B", (768, 2)))
    }
    configs = {"unet": CONFIG, "text_encoder": {"r": 2, "lora_alpha": 1}}
    payload = {names[0]: bare(), names[1]: text, "lora_config": configs, "step": 5}
    found = lc.inspect(saved(payload, tmp_path / "x.pt"))
    assert found.components == ("unet", "text_encoder")
    assert (found.scales, found.scale_source) == ({"2.5": 4, "0.5": 3}, "payload")
    assert lc.convert(tmp_path / "x.pt", "kohya", output=tmp_path / "o.safetensors").proof.exact


def kohya(alpha: Any) -> dict[str, Any]:
    flat = f"lora_unet_{ATTENTION.replace('.', '_')}_to_q"
    return {f"{flat}.lora_down.weight": torch.ones(4, 8), f"{flat}.lora_up.weight": torch.ones(8, 4),
            f"{flat}.alpha": alpha}  # fmt: skip


@pytest.mark.parametrize(
    "alpha",
    [2, 2.0, torch.tensor(2.0), torch.tensor([2.0]), torch.tensor(2.0, dtype=torch.bfloat16),
     np.float32(2), np.int64(2), nn.Parameter(torch.tensor(2.0))],
    ids=lambda a: f"{type(a).__name__} {getattr(a, 'dtype', '')} {getattr(a, 'shape', '')}",
)  # fmt: skip
def test_an_alpha_among_the_weights_is_that_of_its_module(alpha: Any, tmp_path: Path) -> None:
    path = saved(kohya(alpha), tmp_path / "x.pt")
    found = lc.inspect(path)
    assert (found.format, found.scale_source, found.scales) == ("kohya", "tensor", {"0.5": 1})
    assert lc.convert(path, "diffusers", output=tmp_path / "o.safetensors").proof.exact


def test_an_alpha_beyond_all_floats_is_no_alpha(tmp_path: Path) -> None:
    for alpha in (2**2000, 2**5000, -(10**400)):
        found = lc.inspect(saved(kohya(alpha), tmp_path / "x.pt"))
        assert found.scale_source == "assumed"
        payload = {"state_dict": WEIGHTS, "lora_config": CONFIG | {"lora_alpha": alpha}}
        shown = answer(["inspect", "--json", str(saved(payload, tmp_path / "y.pt"))])
        assert json.loads(shown.stdout)["format"] == "accelerate"


@pytest.mark.parametrize("place", ["lora_config", "args", ""])
def test_an_alpha_in_a_tensor_beside_the_weights_is_not_known(place: str, tmp_path: Path) -> None:
    """It could be read; that nobody does so is said."""
    found = CONFIG | {"lora_alpha": torch.tensor(10.0)}
    payload = beside(state_dict=WEIGHTS) | ({place: found} if place else found)
    path = saved(payload, tmp_path / "x.pt")
    assert lc.inspect(path).scale_source == "assumed"
    with lc.plan_convert(path, "diffusers") as plan:
        assert "scale assumed" in {loss.kind for loss in plan.losses}


def test_a_configuration_of_thousands_of_modules_is_read_whole(tmp_path: Path) -> None:
    patterns = {f"blocks.{n}.to_q": 4 for n in range(12_000)}
    config = CONFIG | {"alpha_pattern": {**patterns, f"{ATTENTION}.to_q": 20}}
    found = lc.inspect(saved({"model": WEIGHTS, "lora_config": config}, tmp_path / "x.pt"))
    assert found.scales == {"2.5": 3, "5": 1}
    config["rank_pattern"] = {f"a{n}.b": n + 1 for n in range(100_000)}
    path = saved({"model": WEIGHTS, "lora_config": config}, tmp_path / "y.pt")
    with pytest.raises(CorruptCheckpointError, match="lora_config holds more than 100,000 values"):
        lc.inspect(path)


def test_an_alpha_among_ten_thousand_weights_is_found(tmp_path: Path) -> None:
    base = {f"base_model.model.x{n}.weight": torch.zeros(1) for n in range(12_000)}
    payload = {**base, **WEIGHTS, "lora_alpha": 10, "r": 4}
    found = lc.inspect(saved(payload, tmp_path / "x.pt"))
    assert (found.scale_source, found.scales) == ("payload", {"2.5": 4})


def test_much_that_is_no_weight_is_in_nobodys_way(tmp_path: Path) -> None:
    """A mask that is one number everywhere, and a record of a hundred thousand images."""
    kept = {
        "mask": torch.ones(1).expand(1 << 14, 1 << 14),
        "images": {f"{n}.png": {"caption": "x"} for n in range(110_000)},
    }
    path = saved({"state_dict": WEIGHTS, "lora_config": CONFIG, **kept}, tmp_path / "x.pt")
    found = lc.inspect(path)
    assert (found.modules, found.scales) == (4, {"2.5": 4})
    assert found.payload["mask"] == "a tensor"


def test_two_adapters_in_one_payload_are_asked_about(tmp_path: Path) -> None:
    path = saved({"first": WEIGHTS, "second": dict(WEIGHTS)}, tmp_path / "x.pt")
    with pytest.raises(AmbiguousCheckpointError) as caught:
        lc.inspect(path)
    assert caught.value.choices == ("first", "second")


@pytest.mark.parametrize(
    ("shapes", "read"), [([(8, 4), (4, 8)], True), ([(8, 4)], False), ([(8, 4), (8, 4)], False)]
)
def test_a_list_of_factors_in_turn_is_cloneofsimos(
    shapes: list[tuple[int, int]], read: bool, tmp_path: Path
) -> None:
    found = lc.inspect(saved([torch.ones(*shape) for shape in shapes], tmp_path / "x.pt"))
    assert (found.format == "cloneofsimo") == read


@pytest.mark.parametrize("value", [{}, [], None, 5, "text", torch.ones(3), {"epoch": 3}])
def test_a_payload_without_an_adapter_is_unrecognised(value: Any, tmp_path: Path) -> None:
    path = saved(value, tmp_path / "x.pt")
    assert answer(["inspect", str(path)]).exit_code == 4
    assert answer(["to-peft", str(path), "-o", str(tmp_path / "o")]).exit_code == 4
