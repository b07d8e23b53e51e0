"""Models in memory: made of checkpoints, merged, described; and what configurations differ in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from peft import LoKrConfig, LoraConfig, get_peft_model
from torch import nn

import lora_convert as lc
from lora_convert.cli import main
from lora_convert.errors import (
    AmbiguousCheckpointError,
    BaseMismatchError,
    CheckpointNotFoundError,
    DestinationExistsError,
    ModelMismatchError,
    NotExpressibleError,
    OptionError,
)
from lora_convert.operations.live_models import LiveModel
from lora_convert.operations.merging_models import merged_state
from tests.operations.live_examples import EXAMPLES, Agent, Conv, Denoiser, Example, Mlp, Policy
from tests.operations.test_training_checkpoints import PATHS, bits

BASES = {
    "mlp": Mlp,
    "policy": Policy,
    "conv": Conv,
    "two adapters": Mlp,
    "dora": Mlp,
    "lokr": Mlp,
    "patterns, rsLoRA": Policy,
    "biases": Mlp,
}
each_base = pytest.mark.parametrize("name", [*BASES, "unet", "a part of a model"])


def base_of(name: str, model: nn.Module) -> nn.Module:
    """A model of the same class and weights, without adapters."""
    if name == "unet":
        base: nn.Module = Denoiser.from_config(model.config)  # type: ignore[arg-type]
    elif name == "a part of a model":
        base = Agent()
        base.net = Mlp()
    else:
        base = BASES[name]()
    state = {}
    for key, tensor in model.state_dict().items():
        plain = key.replace("base_model.model.", "").replace(".base_layer.", ".")
        state[plain.replace(".original_module.", ".")] = tensor
    assert not base.load_state_dict(state, strict=False).missing_keys
    return base


def output(model: nn.Module, example: Example) -> torch.Tensor:
    inputs = torch.Generator().manual_seed(3)
    with torch.no_grad():
        result: torch.Tensor = model(torch.randn(example.inputs, generator=inputs))
    return result


@each_base
@pytest.mark.parametrize("path", PATHS[:2])
@pytest.mark.parametrize("whole", [False, True], ids=["adapters", "whole"])
def test_a_checkpoint_and_its_base_make_the_model(
    name: str, path: str, whole: bool, tmp_path: Path
) -> None:
    example = EXAMPLES[name]
    model = example.model()
    if name == "two adapters":
        model.base_model.set_adapter("default")  # type: ignore[operator, union-attr]
    lc.save_checkpoint(model, tmp_path / path, base=whole)
    before = torch.get_rng_state()
    base = base_of(name, model)
    torch.set_rng_state(before)
    again = lc.model_from_checkpoint(tmp_path / path, base)
    assert again is base
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(output(again, example), output(model, example))
    assert LiveModel(again).adapters.keys() == LiveModel(model).adapters.keys()
    lc.save_checkpoint(again, tmp_path / "again")
    lc.load_checkpoint(tmp_path / "again", model)


def test_a_model_of_diffusers_knows_its_adapters(tmp_path: Path) -> None:
    model = EXAMPLES["unet"].model()
    lc.save_checkpoint(model, tmp_path / "c")
    again = lc.model_from_checkpoint(tmp_path / "c", base_of("unet", model))
    assert again.active_adapters() == ["default"]  # type: ignore[operator]
    again.disable_adapters()  # type: ignore[operator]


def test_a_model_with_adapters_is_no_base(tmp_path: Path) -> None:
    model = EXAMPLES["mlp"].model()
    lc.save_checkpoint(model, tmp_path / "c")
    with pytest.raises(OptionError, match="has adapters already"):
        lc.model_from_checkpoint(tmp_path / "c", model)
    with pytest.raises(ModelMismatchError):
        lc.model_from_checkpoint(tmp_path / "c", nn.ModuleDict({"first": nn.Linear(4, 4)}))
    (tmp_path / "c" / "lora_edit" / "adapter_config.json").unlink()
    with pytest.raises(CheckpointNotFoundError, match="no configuration"):
        lc.model_from_checkpoint(tmp_path / "c", Mlp())


@each_base
def test_a_merged_model_acts_as_with_its_adapters(name: str, tmp_path: Path) -> None:
    example = EXAMPLES[name]
    model = example.model()
    before, expected = bits(model.state_dict()), output(model, example)
    for path in ("merged", "merged.safetensors", "merged.pth"):
        assert lc.save_merged(model, tmp_path / path) == str(tmp_path / path)
    assert bits(model.state_dict()) == before
    plain = base_of(name, model)
    plain.load_state_dict(torch.load(tmp_path / "merged.pth", weights_only=True))
    torch.testing.assert_close(output(plain, example), expected, rtol=1e-5, atol=1e-5)
    assert not lc.is_lora_model(plain)
    with pytest.raises(DestinationExistsError):
        lc.save_merged(model, tmp_path / "merged")
    if name == "unet":
        loaded = UNet2DConditionModel.from_pretrained(tmp_path / "merged")
        assert bits(loaded.state_dict()) == bits(plain.state_dict())


def test_a_merge_is_rounded_once(tmp_path: Path) -> None:
    model = get_peft_model(
        Mlp().bfloat16(), LoraConfig(r=4, target_modules=["first"], init_lora_weights=False)
    )
    merged = dict(merged_state(LiveModel(model)))
    layer = model.base_model.model.first
    wide = (layer.lora_B["default"].weight.double() @ layer.lora_A["default"].weight.double()) * 2
    wide = layer.base_layer.weight.double() + wide.detach()
    assert merged["first.weight"].dtype == torch.bfloat16
    assert torch.equal(merged["first.weight"], wide.bfloat16())


@each_base
@pytest.mark.parametrize("path", PATHS[:2])
def test_what_is_merged_into_a_model_acts_as_its_adapter(
    name: str, path: str, tmp_path: Path
) -> None:
    if name in {"biases", "patterns, rsLoRA", "two adapters", "dora"}:
        pytest.skip("has more than one adapter, or more than adapters: refused by the converter")
    example = EXAMPLES[name]
    model = example.model()
    lc.save_checkpoint(model, tmp_path / path)
    plain = base_of(name, model)
    before = bits(plain.state_dict())
    changed = lc.merge_into(plain, tmp_path / path)
    after = bits(plain.state_dict())
    assert {*changed} == {key for key in before if before[key] != after[key]}
    torch.testing.assert_close(output(plain, example), output(model, example), rtol=1e-4, atol=1e-5)
    lc.merge_into(plain, tmp_path / path, scale=-1.0)
    for key, tensor in base_of(name, model).state_dict().items():
        torch.testing.assert_close(plain.state_dict()[key], tensor, rtol=1e-4, atol=1e-5)


def test_half_of_a_lora_is_half_its_change(tmp_path: Path) -> None:
    model = EXAMPLES["mlp"].model()
    lc.save_checkpoint(model, tmp_path / "c")
    changes = []
    for scale in (1.0, 0.5):
        plain = base_of("mlp", model)
        base = plain.first.weight.detach().clone()  # type: ignore[union-attr, operator]
        lc.merge_into(plain, tmp_path / "c", scale)
        changes.append(plain.first.weight.detach() - base)  # type: ignore[operator]
    torch.testing.assert_close(changes[0] / 2, changes[1])


def test_what_does_not_fit_is_not_merged(tmp_path: Path) -> None:
    model = EXAMPLES["mlp"].model()
    lc.save_checkpoint(model, tmp_path / "c")
    other = Policy()
    before = bits(other.state_dict())
    with pytest.raises(BaseMismatchError):
        lc.merge_into(other, tmp_path / "c")
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad)[0, 0] = torch.nan
    lc.save_checkpoint(model, tmp_path / "c")
    plain = Mlp()
    with pytest.raises(NotExpressibleError, match="finite"):
        lc.merge_into(plain, tmp_path / "c")
    assert bits(other.state_dict()) == before


def test_a_model_is_described() -> None:
    found = lc.describe_model(EXAMPLES["two adapters"].model())
    one, other = found.adapters
    assert (one.name, one.kind, one.active, one.ranks, one.scales) == (
        ("default", "LORA", True, {4: 2}, {2.0: 2})
    )
    assert (other.name, other.modules, other.ranks) == ("lora_edit", ("second",), {2: 1})
    assert (one.parameters, other.parameters) == (4 * 24 * 2, 2 * 24)
    assert found.trainable == one.parameters + other.parameters
    assert found.parameters == found.trainable + 8 * 16 + 16 + 16 * 8 + 8 + 16
    assert 0 < found.trainable_share < 1
    assert found.as_json()["adapters"][1]["name"] == "lora_edit"
    plain = lc.describe_model(Mlp())
    assert plain.adapters == () and plain.trainable_share == 1


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_a_model_with_adapters_is_known(example: Example) -> None:
    model = example.model()
    assert lc.is_lora_model(model) and lc.is_lora_model(torch.compile(model))  # type: ignore[arg-type]
    assert not lc.is_lora_model(Mlp())


A = LoraConfig(r=4, lora_alpha=8, target_modules=["b", "a"])
CONFIGS: dict[str, tuple[Any, Any, dict[str, bool]]] = {
    "the same, said otherwise": (
        A,
        {"peft_type": "LORA", "r": 4, "target_modules": ["a", "b"], "use_dora": False},
        {},
    ),
    "alpha": (A, LoraConfig(r=4, lora_alpha=16, target_modules=["a", "b"]), {"lora_alpha": True}),
    "dropout": (
        A,
        LoraConfig(r=4, lora_alpha=8, target_modules=["a", "b"], lora_dropout=0.1),
        {"lora_dropout": False},
    ),
    "both": (
        A,
        LoraConfig(r=4, lora_alpha=8, target_modules=["a"], init_lora_weights="gaussian"),
        {"target_modules": True, "init_lora_weights": False},
    ),
    "pissa": (
        A,
        LoraConfig(r=4, lora_alpha=8, target_modules=["a", "b"], init_lora_weights="pissa"),
        {"init_lora_weights": True},
    ),
    "rsLoRA": (
        A,
        LoraConfig(r=4, lora_alpha=8, target_modules=["a", "b"], use_rslora=True),
        {"use_rslora": True},
    ),
    "trainers' words": ({"rank": 4, "alpha": 8}, {"r": 4, "lora_alpha": 4}, {"lora_alpha": True}),
}


@pytest.mark.parametrize(("a", "b", "expected"), CONFIGS.values(), ids=CONFIGS)
def test_configurations_are_compared(a: Any, b: Any, expected: dict[str, bool]) -> None:
    found = lc.compare_configs(a, b)
    told = {one.field: one.changes_delta for one in found if one.field != "alpha"}
    assert told == expected
    assert [one.changes_delta for one in found] == sorted(
        (one.changes_delta for one in found), reverse=True
    )
    assert {one.field for one in lc.compare_configs(b, a)} == {one.field for one in found}


def test_configurations_of_checkpoints_are_compared(tmp_path: Path) -> None:
    model = EXAMPLES["mlp"].model()
    for path in ("c", "c.pth"):
        lc.save_checkpoint(model, tmp_path / path)
    lc.save_checkpoint(model, tmp_path / "whole", base=True)
    for path in ("c.pth", "whole", "c/lora_edit/adapter_config.json"):
        assert lc.compare_configs(tmp_path / "c", tmp_path / path) == ()
    lc.save_checkpoint(EXAMPLES["two adapters"].model(), tmp_path / "two")
    with pytest.raises(AmbiguousCheckpointError):
        lc.compare_configs(tmp_path / "two", tmp_path / "c")


@pytest.mark.parametrize("path", PATHS[:2])
def test_another_alpha_is_not_loaded(path: str, tmp_path: Path) -> None:
    lc.save_checkpoint(EXAMPLES["mlp"].model(), tmp_path / path)
    config = LoraConfig(r=4, lora_alpha=16, target_modules=["first"])
    other = get_peft_model(Mlp(), config, adapter_name="lora_edit")
    before = bits(other.state_dict())
    with pytest.raises(ModelMismatchError, match=r"times 2 .*times 4"):
        lc.load_checkpoint(tmp_path / path, other)
    assert bits(other.state_dict()) == before
    assert lc.load_checkpoint(tmp_path / path, other, strict=False).loaded


@pytest.mark.parametrize("path", ["c", "c.pth"])
def test_each_of_several_adapters_keeps_its_own_scale(path: str, tmp_path: Path) -> None:
    model = get_peft_model(Mlp(), LoraConfig(r=4, lora_alpha=4, target_modules=["first"]), "soft")
    model.add_adapter("hard", LoraConfig(r=4, lora_alpha=12, target_modules=["first"]))
    lc.save_checkpoint(model, tmp_path / path, base=True)
    for name, scale in (("soft", 1.0), ("hard", 3.0)):
        (module,) = lc.read_adapter(tmp_path / path, adapter=name).modules
        assert module.scale == scale
        factors = [
            model.state_dict()[f"base_model.model.first.lora_{x}.{name}.weight"] for x in "AB"
        ]
        assert np.array_equal(module.tensors["down"], factors[0].numpy())


def test_other_commands_read_a_run_with_no_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = EXAMPLES["unet"].model()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    EXAMPLES["unet"].train(model, optimizer, steps=1)
    for step in (100, 200):
        place = tmp_path / "run" / "checkpoints" / f"checkpoint-{step}"
        lc.save_checkpoint(model, place, optimizer=optimizer, step=step)
    run = os.fspath(tmp_path / "run")
    for words, told in (
        (["inspect", f"{run}/checkpoints/checkpoint-200"], "unet"),
        (["runs", "show", run], "200"),
        (["space", run], "resume state"),
        (["to-kohya", f"{run}@200", "-o", f"{run}.safetensors"], "bit-exact"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        printed = "".join(capsys.readouterr())
        assert ended.value.code == 0, printed
        assert told in printed
    assert lc.load_checkpoint(f"{run}@100", model, optimizer=optimizer).step == 100


def test_adapters_without_a_merge_are_said(tmp_path: Path) -> None:
    model = get_peft_model(Mlp(), LoKrConfig(r=4, target_modules=["first"]))
    model.base_model.model.first.merge = None
    with pytest.raises((NotExpressibleError, TypeError)):
        lc.save_merged(model, tmp_path / "merged")


def test_checkpoints_that_lie_in_the_run_itself_are_its_own(tmp_path: Path) -> None:
    from lora_convert.operations.runs import runs_in

    model = EXAMPLES["unet"].model()
    for step in (1, 2):
        lc.save_checkpoint(model, tmp_path / f"checkpoint-{step}", step=step)
    (run,) = runs_in(os.fspath(tmp_path))
    assert run.tool == "trainer" and [one.step for one in run.checkpoints] == [1, 2]


@pytest.mark.parametrize("config", [{"rank": 4, "alpha": 8}, {"lora": {"r": 4, "lora_alpha": 8}}])
def test_a_payload_in_a_trainers_words_makes_the_model(
    config: dict[str, Any], tmp_path: Path
) -> None:
    model = EXAMPLES["mlp"].model()
    inner = config.get("lora", config)
    inner["target_modules"] = ["first"]
    payload = {"model_state_dict": model.state_dict(), "lora_config": config, "epoch": 4}
    torch.save(payload, tmp_path / "epoch_4.pth")
    again = lc.model_from_checkpoint(tmp_path / "epoch_4.pth", Mlp())
    assert torch.equal(output(again, EXAMPLES["mlp"]), output(model, EXAMPLES["mlp"]))
    inner.update({"alpha": 2} if "alpha" in inner else {"lora_alpha": 2})
    torch.save(payload, tmp_path / "epoch_4.pth")
    with pytest.raises(ModelMismatchError, match=r"times 0\.5"):
        lc.load_checkpoint(tmp_path / "epoch_4.pth", model)
