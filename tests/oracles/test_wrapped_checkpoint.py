"""A wrapped model's checkpoint that "loads" and does nothing: no key of 942 is the model's."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

import lora_convert as lc
from lora_convert.operations.metadata import plan_strip
from lora_convert.operations.origins import PROVENANCE
from tests.oracles.acting import adapted, added_by, farthest, loaded_by_diffusers
from tests.oracles.tiny_models import models

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor

FIXTURE = Path(__file__).parents[2] / "fixtures" / "tiny-run"
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


@pytest.fixture(scope="module")
def adapter() -> PeftModel:
    return adapted(models("sd1")["unet"], r=4, lora_alpha=8, target_modules=ATTENTION)


@pytest.fixture(scope="module")
def run(adapter: PeftModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder: Accelerate's checkpoint of the wrapped model, and PEFT's final adapter."""
    folder = tmp_path_factory.mktemp("run")
    accelerator = Accelerator(cpu=True)
    accelerator.prepare(adapter)
    accelerator.save_state(str(folder / "checkpoints" / "checkpoint-500"))
    adapter.save_pretrained(folder / "lora_weights")
    return folder


@pytest.fixture(scope="module")
def tensors(run: Path) -> dict[str, Tensor]:
    return load_file(run / "checkpoints" / "checkpoint-500" / "model.safetensors")


@pytest.mark.parametrize(
    ("stripped", "missing", "unexpected"),
    [
        ((), 686, 942),
        (("base_model.model.",), 160, 416),
        (("base_model.model.", "base_layer."), 0, 256),
    ],
    ids=["as it is", "without base_model.model.", "base_layer. folded too"],
)
def test_load_state_dict_leaves_the_base(
    tensors: dict[str, Tensor], stripped: tuple[str, ...], missing: int, unexpected: int
) -> None:
    """``strict=False`` accepts every stage of renaming, and gives the base model byte for byte."""
    renamed = tensors
    for part in stripped:
        renamed = {key.replace(part, ""): tensor for key, tensor in renamed.items()}
    unet = copy.deepcopy(models("sd1")["unet"])
    report = unet.load_state_dict(renamed, strict=False)
    assert (len(report.missing_keys), len(report.unexpected_keys)) == (missing, unexpected)
    base = models("sd1")["unet"].state_dict()
    assert all(torch.equal(tensor, base[key]) for key, tensor in unet.state_dict().items())


def test_every_key_is_explained(run: Path) -> None:
    """Frozen weights and adapter alike, with the scale of the run's own configuration."""
    seen = lc.inspect(str(run / "checkpoints" / "checkpoint-500"))
    assert (seen.total, seen.explained, seen.unexplained) == (942, 942, ())
    assert (seen.format, seen.architecture, seen.scale_source) == ("accelerate", "sd1", "config")


@pytest.mark.parametrize("source", ["checkpoints/checkpoint-500", "lora_weights"])
def test_converted_it_acts_as_trained(
    run: Path, adapter: PeftModel, source: str, tmp_path: Path
) -> None:
    """From either of the run's files, Diffusers merges exactly the weights that PEFT merges."""
    result = lc.convert(str(run / source), "diffusers", output=str(tmp_path))
    assert result.proof is not None
    assert result.proof.exact
    assert (
        farthest(loaded_by_diffusers("sd1", Path(result.output)), added_by({"unet": adapter})) == 0
    )


def test_fixture_is_such_a_run(tmp_path: Path) -> None:
    """What ships beside the tests converts from both of its files to the same, but for which it was."""
    shutil.copytree(FIXTURE, tmp_path / "run")
    outputs = []
    for source, name in (("checkpoints/checkpoint-1000", "a"), ("lora_weights", "b")):
        given = str(tmp_path / "run" / source)
        output = lc.convert(given, "diffusers", output=str(tmp_path / name)).output
        with plan_strip(output, only=[PROVENANCE]) as plan:
            assert plan.apply() == "written"
        outputs.append(Path(output).read_bytes())
    assert outputs[0] == outputs[1]


def test_without_peft_model(adapter: PeftModel, tmp_path: Path) -> None:
    """``add_adapter`` wraps in place: no ``base_model.model.``, and no configuration."""
    save_file(
        {
            key.removeprefix("base_model.model."): tensor.contiguous()
            for key, tensor in adapter.state_dict().items()
        },
        tmp_path / "model.safetensors",
    )
    result = lc.convert(str(tmp_path), "diffusers", scale_from="alpha=8")
    assert (
        farthest(loaded_by_diffusers("sd1", Path(result.output)), added_by({"unet": adapter})) == 0
    )


def test_written_for_accelerate(run: Path, adapter: PeftModel, tmp_path: Path) -> None:
    """A wrapped model takes every key of what is written, and acts as the trained one."""
    result = lc.convert(
        str(run / "lora_weights"), "accelerate", output=str(tmp_path / "checkpoint")
    )
    fresh = adapted(models("sd1")["unet"], seed=1, r=4, lora_alpha=8, target_modules=ATTENTION)
    report = fresh.load_state_dict(
        load_file(Path(result.output) / "model.safetensors"), strict=False
    )
    assert report.unexpected_keys == []
    assert not [key for key in report.missing_keys if "lora_" in key]
    assert farthest(added_by({"unet": fresh}), added_by({"unet": adapter})) == 0
