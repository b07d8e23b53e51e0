"""PEFT's other algorithms: what it saves is read as it acts, and what is written acts in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import (
    BOFTConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    OFTConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
)
from peft.tuners.boft.layer import BOFTLayer
from torch import nn

import lora_convert as lc
from lora_convert.operations.merging import Added, plan_merge
from lora_convert.tensors.rotations import turned
from lora_convert.tensors.turning import Rotation

TARGETS = ["to_q", "to_k", "proj", "conv", "point"]


class Tiny(nn.Module):
    """Linear layers of two shapes, a convolution and a pointwise one."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(12, 8)
        self.to_k = nn.Linear(12, 8, bias=False)
        self.proj = nn.Linear(8, 16)
        self.conv = nn.Conv2d(12, 8, 3, padding=1)
        self.point = nn.Conv2d(8, 12, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = self.point(self.conv(x)).flatten(2).transpose(1, 2)
        return self.proj(self.to_q(values) + self.to_k(values))


CONFIGS: dict[str, PeftConfig] = {
    "loha": LoHaConfig(r=3, alpha=5, target_modules=TARGETS, rank_pattern={"to_k": 2}),
    "loha tucker": LoHaConfig(r=2, alpha=1, target_modules=TARGETS, use_effective_conv2d=True),
    "lokr": LoKrConfig(r=2, alpha=3, target_modules=TARGETS, decompose_factor=2),
    "lokr whole": LoKrConfig(r=64, alpha=3, target_modules=TARGETS, decompose_factor=4),
    "lokr parted": LoKrConfig(
        r=1, alpha=3, target_modules=["to_q", "to_k", "conv"], decompose_both=True
    ),
    "lokr tucker": LoKrConfig(
        r=1, alpha=2, target_modules=["conv", "proj"], use_effective_conv2d=True, decompose_factor=2
    ),
    "oft": OFTConfig(oft_block_size=4, target_modules=TARGETS),
    "oft exact": OFTConfig(oft_block_size=4, target_modules=TARGETS, use_cayley_neumann=False),
    "oft by number": OFTConfig(r=2, oft_block_size=0, target_modules=["to_q", "proj"]),
    "oft shared": OFTConfig(oft_block_size=4, target_modules=TARGETS, block_share=True),
    "oft limited": OFTConfig(oft_block_size=4, target_modules=TARGETS, coft=True, eps=1e-2),
    "oft three terms": OFTConfig(
        oft_block_size=2, target_modules=TARGETS, num_cayley_neumann_terms=3
    ),
    # of convolutions, PEFT 0.21 multiplies columns by the factors of rows when it merges, and fails
    "boft": BOFTConfig(boft_block_size=4, target_modules=["to_q", "to_k", "proj"]),
    "boft by number": BOFTConfig(
        boft_block_size=0, boft_block_num=2, target_modules=["to_q", "proj"]
    ),
    "ia3": IA3Config(target_modules=TARGETS, feedforward_modules=["proj", "point"]),
    "ia3 outputs": IA3Config(target_modules=TARGETS, feedforward_modules=[]),
}


def trained(config: PeftConfig) -> tuple[nn.Module, PeftModel]:
    """A base, and the same with an adapter of random factors."""
    torch.manual_seed(7)
    base = Tiny()
    model = get_peft_model(copy.deepcopy(base), copy.deepcopy(config))
    for name, parameter in model.named_parameters():
        if any(word in name for word in ("hada_", "lokr_", "oft_", "boft_", "ia3_")):
            around = 1.0 if "ia3_l" in name or "boft_s" in name else 0.0
            parameter.data = around + 0.2 * torch.randn_like(parameter)
    return base, model.eval()


def merged(model: PeftModel) -> dict[str, np.ndarray]:
    """Weights and biases as PEFT merges them."""
    whole = copy.deepcopy(model).merge_and_unload()
    return {name: tensor.detach().numpy() for name, tensor in whole.state_dict().items()}


def save_base(base: nn.Module, path: Path) -> str:
    from safetensors.torch import save_file

    save_file(base.state_dict(), path)
    return str(path)


def weights(path: str) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


@pytest.fixture(params=CONFIGS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, ...]]:
    base, model = trained(CONFIGS[request.param])
    model.save_pretrained(tmp_path / "saved")
    yield request.param, base, model, tmp_path


def test_what_peft_saves_is_merged_as_peft_merges_it(case: tuple[Any, ...]) -> None:
    _, base, model, folder = case
    target = folder / "merged.safetensors"
    plan_merge(
        [Added(str(folder / "saved"), 1.0)],
        into=save_base(base, folder / "base.safetensors"),
        output=str(target),
    ).apply()
    wanted, found = merged(model), weights(str(target))
    assert wanted.keys() == found.keys()
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_what_is_written_acts_in_peft(case: tuple[Any, ...]) -> None:
    name, base, model, folder = case
    result = lc.convert(str(folder / "saved"), "accelerate", output=str(folder / "live"))
    assert result.proof is not None
    assert result.proof.exact
    again = lc.convert(result.output, "peft", output=str(folder / "again"))
    assert again.proof is not None
    assert again.proof.exact
    loaded = PeftModel.from_pretrained(copy.deepcopy(base), again.output).eval()
    wanted, found = merged(model), merged(loaded)
    for key in wanted:
        np.testing.assert_array_equal(found[key], wanted[key], err_msg=f"{name}: {key}")


def test_factors_of_a_convolution_have_the_shape_that_peft_gives_them(tmp_path: Path) -> None:
    base, model = trained(BOFTConfig(boft_block_size=4, target_modules=["conv", "to_q"]))
    model.save_pretrained(tmp_path / "saved")
    there = lc.convert(str(tmp_path / "saved"), "accelerate", output=str(tmp_path / "there"))
    back = lc.convert(there.output, "peft", output=str(tmp_path / "back"))
    loaded = PeftModel.from_pretrained(copy.deepcopy(base), back.output)
    wanted, found = (one.state_dict() for one in (model, loaded))
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_butterflies_are_those_of_peft(stages: int) -> None:
    """PEFT makes more than one stage on CUDA alone; its permutations are to be had everywhere."""
    rng = np.random.default_rng(3)
    size, count = 4, 8
    width = size * count
    blocks = rng.standard_normal((stages, count, size, size))
    weight = rng.standard_normal((5, width))
    layer = BOFTLayer.__new__(BOFTLayer)
    total = np.eye(width)
    for stage in range(stages):
        order = layer.block_butterfly_perm(width, int(count / 2**stage), size // 2, stages - 1)
        moving = layer.perm2mat(order).numpy() if stages > 1 else np.eye(width)
        turns = layer.cayley_batch(torch.from_numpy(blocks[stage])).numpy()
        diagonal = np.zeros((width, width))
        for at, turn in enumerate(turns):
            diagonal[at * size : (at + 1) * size, at * size : (at + 1) * size] = turn
        total = moving @ diagonal @ moving.T @ total
    found = turned(weight, blocks, Rotation("butterfly_in"))
    np.testing.assert_allclose(found, weight @ total.T, atol=1e-10)


def test_an_input_whose_name_ends_another_is_changed_alone(tmp_path: Path) -> None:
    """IA3's configuration lists ends of names; PEFT would take the inner layer's inputs too."""
    base = nn.ModuleDict(
        {"inner": nn.ModuleDict({"to_q": nn.Linear(8, 12)}), "to_q": nn.Linear(12, 8)}
    )
    config = IA3Config(target_modules=["inner.to_q", "to_q"], feedforward_modules="to_q")
    model = get_peft_model(copy.deepcopy(base), config)
    for name, parameter in model.named_parameters():
        if "ia3_l" in name:
            parameter.data = 1 + 0.2 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "saved")
    there = lc.convert(str(tmp_path / "saved"), "accelerate", output=str(tmp_path / "there"))
    back = lc.convert(there.output, "peft", output=str(tmp_path / "back"))
    loaded = PeftModel.from_pretrained(copy.deepcopy(base), back.output)
    wanted, found = merged(model), merged(loaded)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
