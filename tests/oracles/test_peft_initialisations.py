"""Initialisations of PEFT that change the base: what is saved is refused, or worked out on the base."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

import lora_convert as lc
from lora_convert.errors import NotExpressibleError, UnexplainedKeysError
from lora_convert.operations.assembling import Assembly
from lora_convert.operations.merging import Added, plan_merge
from lora_convert.operations.pipeline import plan_pipeline
from tests.oracles.tiny_models import models

TARGETS = ["to_q", "to_v", "proj_in", "conv1"]
LINEAR = ["to_q", "to_v"]
RANK = 4


def trained(start: str | bool, *, targets: list[str]) -> tuple[torch.nn.Module, PeftModel]:
    """A tiny UNet, and it with a LoRA that began so and was trained since."""
    base = models("sd1")["unet"]
    torch.manual_seed(3)
    config = LoraConfig(
        r=RANK, lora_alpha=3, target_modules=targets, init_lora_weights=start, use_rslora=False
    )
    return copy.deepcopy(base), get_peft_model(copy.deepcopy(base), config)


def train(model: PeftModel) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(0.05 * torch.randn_like(parameter))


def changes(base: torch.nn.Module, model: PeftModel) -> dict[str, torch.Tensor]:
    """ΔW of every weight, by PEFT's own merge."""
    before = base.state_dict()
    after = copy.deepcopy(model).merge_and_unload().state_dict()
    return {
        name.removesuffix(".weight"): (after[name] - before[name]).double()
        for name in before
        if name.endswith(".weight") and not torch.equal(after[name], before[name])
    }


def assert_same(path: str, wanted: dict[str, torch.Tensor]) -> None:
    found = {m.module: torch.from_numpy(m.weight_change()) for m in lc.read_adapter(path).modules}
    assert found.keys() == wanted.keys()
    for name, change in wanted.items():
        apart = torch.linalg.norm(found[name].reshape(change.shape) - change)
        assert apart < 2e-4 * torch.linalg.norm(change), name


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_worked_out_on_the_base(tmp_path: Path, start: str) -> None:
    base, model = trained(start, targets=LINEAR)
    train(model)
    model.save_pretrained(tmp_path / "saved")
    save_file(base.state_dict(), tmp_path / "base.safetensors")
    with pytest.raises(NotExpressibleError, match=start) as caught:
        lc.convert(tmp_path / "saved", "kohya", architecture="sd1")
    assert "--as lora --rank R --base BASE" in caught.value.hint
    wanted = changes(base, model)
    done = lc.convert(
        tmp_path / "saved",
        "diffusers",
        output=str(tmp_path / "out.safetensors"),
        architecture="sd1",
        recast="lora",
        rank=2 * RANK,
        base=str(tmp_path / "base.safetensors"),
    )
    assert max(done.plan["errors"].values()) < 1e-4, "it is of twice the rank"
    assert_same(done.output, wanted)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_merged_into_the_base_as_it_is_published(tmp_path: Path, start: str) -> None:
    """Two times, so that the second is taken from the base and not from the sum with the first."""
    base, model = trained(start, targets=LINEAR)
    train(model)
    saved, whole = str(tmp_path / "saved"), str(tmp_path / "base.safetensors")
    model.save_pretrained(saved)
    save_file(base.state_dict(), whole)
    pipeline = tmp_path / "pipeline"
    base.save_pretrained(pipeline / "unet")
    index = {"_class_name": "DiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    (pipeline / "model_index.json").write_text(json.dumps(index))
    wanted = changes(base, model)
    once = str(tmp_path / "once.safetensors")
    with plan_merge([Added(saved, 0.5), Added(saved, 0.5)], into=whole, output=once) as plan:
        plan.apply()
    made = tmp_path / "made"
    with plan_pipeline(saved, output=made, base=str(pipeline), architecture="sd1") as plan:
        Assembly(plan).run()
    live = copy.deepcopy(base)
    lc.merge_into(live, saved)
    built = type(base).from_pretrained(made, subfolder="unet")
    for after in (load_file(once), built.state_dict(), live.state_dict()):
        for name, before in base.state_dict().items():
            change = wanted.get(name.removesuffix(".weight"), torch.zeros_like(before))
            assert torch.allclose(after[name], before + change.float(), atol=1e-4), name


def test_converted_by_peft_it_is_a_lora(tmp_path: Path) -> None:
    base, model = trained("pissa", targets=LINEAR)
    model.peft_config["default"].init_lora_weights = True  # as PEFT's documentation says
    model.save_pretrained(tmp_path / "start")
    model.peft_config["default"].init_lora_weights = "pissa"
    train(model)
    wanted = changes(base, model)
    model.save_pretrained(
        tmp_path / "saved", path_initial_model_for_weight_conversion=str(tmp_path / "start")
    )
    done = lc.convert(
        tmp_path / "saved",
        "diffusers",
        output=str(tmp_path / "out.safetensors"),
        architecture="sd1",
    )
    assert_same(done.output, wanted)


@pytest.mark.parametrize("start", ["pissa_niter_4", "loftq", "corda", "lora_ga"])
def test_what_cannot_be_computed_again(tmp_path: Path, start: str) -> None:
    base, model = trained(True, targets=LINEAR)
    train(model)
    model.peft_config["default"].init_lora_weights = start
    model.save_pretrained(tmp_path / "saved")
    save_file(base.state_dict(), tmp_path / "base.safetensors")
    with pytest.raises(NotExpressibleError, match="cannot be computed again"):
        lc.convert(
            tmp_path / "saved",
            "kohya",
            architecture="sd1",
            recast="full",
            base=str(tmp_path / "base.safetensors"),
        )


@pytest.mark.parametrize("start", [True, "gaussian", "orthogonal", "eva"])
def test_what_leaves_the_base_alone_is_a_lora(tmp_path: Path, start: str | bool) -> None:
    base, model = trained(True if start == "eva" else start, targets=LINEAR)
    train(model)
    wanted = changes(base, model)
    model.peft_config["default"].init_lora_weights = start
    model.save_pretrained(tmp_path / "saved")
    done = lc.convert(
        tmp_path / "saved",
        "diffusers",
        output=str(tmp_path / "out.safetensors"),
        architecture="sd1",
    )
    assert_same(done.output, wanted)


def test_modules_that_are_saved_whole_are_refused(tmp_path: Path) -> None:
    config = LoraConfig(r=RANK, target_modules=LINEAR, modules_to_save=["conv_in"])
    get_peft_model(copy.deepcopy(models("sd1")["unet"]), config).save_pretrained(tmp_path / "saved")
    with pytest.raises(UnexplainedKeysError, match="modules_to_save"):
        lc.convert(tmp_path / "saved", "kohya", architecture="sd1")
