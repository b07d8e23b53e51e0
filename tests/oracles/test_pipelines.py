"""Whole pipelines, against what Diffusers makes of the same base and adapter."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

import lora_convert as lc
from lora_convert.errors import BaseMismatchError
from lora_convert.operations.assembling import Assembly
from lora_convert.operations.pieces import Options
from lora_convert.operations.pipeline import plan_pipeline
from lora_convert.operations.sharing import METADATA_NAME
from tests.oracles.acting import adapted_pipeline, saved
from tests.oracles.tiny_pipelines import picture, save_pipeline

UNET = {"r": 4, "lora_alpha": 8, "target_modules": ["to_q", "to_v"]}
TEXT = {"r": 2, "lora_alpha": 3, "target_modules": ["q_proj", "fc1"]}
CASES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "sd1, unet and text encoder": ("sd1", {"unet": UNET, "text_encoder": TEXT}),
    "sd1, convolutions": ("sd1", {"unet": {**UNET, "target_modules": ["conv1", "conv_shortcut"]}}),
    "sdxl, second text encoder": ("sdxl", {"unet": UNET, "text_encoder_2": TEXT}),
    "flux": ("flux", {"transformer": {**UNET, "target_modules": ["to_q", "to_v", "proj_out"]}}),
    "sd1, patterns": (
        "sd1",
        {"unet": {**UNET, "rank_pattern": {"to_v": 2}, "alpha_pattern": {"to_q": 1}}},
    ),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {name: save_pipeline(name, root / name) for name in ("sd1", "sdxl", "flux")}


def built(source: Path | str, base: Path, output: Path, **options: Any) -> Path:
    with plan_pipeline(source, base=str(base), output=output, options=Options(**options)) as plan:
        assembled = Assembly(plan).run()
        assert assembled.output == str(output)
        listed = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
        assert listed == {METADATA_NAME, *(piece.content.name for piece in plan.pieces)}
        for piece in plan.pieces:
            assert (output / piece.content.name).stat().st_size == piece.content.size
    return output


def fused(base: Path, lora: Path | str, scale: float = 1.0) -> Any:
    """Diffusers' own way: load everything, fuse."""
    pipeline = DiffusionPipeline.from_pretrained(base)
    pipeline.load_lora_weights(str(lora))
    pipeline.fuse_lora(lora_scale=scale)
    pipeline.unload_lora_weights()
    return pipeline


def same_weights(one: Any, other: Any, components: Any, ulps: int = 1) -> None:
    """Equal names, and values within `ulps` units in the last place."""
    for component in components:
        ours, theirs = (getattr(p, component).state_dict() for p in (one, other))
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            if value.is_floating_point():
                step = torch.finfo(value.dtype).eps * theirs[name].abs() * ulps
                assert ((value - theirs[name]).abs() <= step).all(), name


@pytest.mark.parametrize("layout", ["split", "full"])
@pytest.mark.parametrize("case", CASES)
def test_a_pipeline_is_what_diffusers_fuses(
    case: str, layout: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    architecture, configs = CASES[case]
    peft = saved(adapted_pipeline(architecture, configs), tmp_path / "peft")
    lora = lc.convert(peft, "diffusers", output=tmp_path / "lora").output
    base = bases[architecture]
    output = built(lora, base, tmp_path / "out", layout=layout)
    ours, theirs = DiffusionPipeline.from_pretrained(output), fused(base, lora)
    same_weights(ours, theirs, configs)
    drawn = picture(ours, architecture)
    assert (drawn - picture(theirs, architecture)).abs().max() <= 1e-4
    untouched = DiffusionPipeline.from_pretrained(base)
    assert (drawn - picture(untouched, architecture)).abs().max() > 1e-3


def test_any_format_of_an_adapter_gives_the_same_pipeline(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    peft = saved(adapted_pipeline("sd1", {"unet": UNET, "text_encoder": TEXT}), tmp_path / "peft")
    kohya = lc.convert(peft, "kohya", output=tmp_path / "k.safetensors").output
    first, second = (
        built(source, bases["sd1"], tmp_path / f"out{number}")
        for number, source in enumerate((peft, kohya))
    )
    for path in first.rglob("*.safetensors"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_strength_is_a_factor(bases: dict[str, Path], tmp_path: Path) -> None:
    peft = saved(adapted_pipeline("sd1", {"unet": UNET}), tmp_path / "peft")
    lora = lc.convert(peft, "diffusers", output=tmp_path / "lora").output
    output = built(lora, bases["sd1"], tmp_path / "out", scale=0.5)
    ours = DiffusionPipeline.from_pretrained(output)
    same_weights(ours, fused(bases["sd1"], lora, 0.5), ["unet"])


def test_a_magnitude_is_merged_as_peft_merges_it(bases: dict[str, Path], tmp_path: Path) -> None:
    adapters = adapted_pipeline("sd1", {"unet": {**UNET, "use_dora": True}})
    peft = saved(adapters, tmp_path / "peft")
    output = built(peft, bases["sd1"], tmp_path / "out")
    ours = DiffusionPipeline.from_pretrained(output).unet.state_dict()
    theirs = adapters["unet"].merge_and_unload().state_dict()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_another_dtype_rounds_every_weight_once(
    dtype: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    peft = saved(adapted_pipeline("sd1", {"unet": UNET}), tmp_path / "peft")
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    exact = DiffusionPipeline.from_pretrained(built(peft, bases["sd1"], tmp_path / "exact"))
    output = built(peft, bases["sd1"], tmp_path / "out", dtype=dtype)
    ours = DiffusionPipeline.from_pretrained(output, torch_dtype=kind)
    for component in ("unet", "vae", "text_encoder"):
        wide = getattr(exact, component).state_dict()
        for name, value in getattr(ours, component).state_dict().items():
            assert torch.equal(value, wide[name].to(value.dtype)), name


def test_a_wrapped_checkpoint_brings_its_own_weights(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    adapters = adapted_pipeline("sd1", {"unet": UNET})
    base = load_file(bases["sd1"] / "unet" / "diffusion_pytorch_model.safetensors")
    wrapped = adapters["unet"]
    weights = {name: value.clone() for name, value in wrapped.state_dict().items()}
    (tmp_path / "run").mkdir()
    save_file(weights, tmp_path / "run" / "model.safetensors")
    wrapped.save_pretrained(tmp_path / "run" / "peft")
    shutil.copy(tmp_path / "run" / "peft" / "adapter_config.json", tmp_path / "run")
    alone = built(tmp_path / "run" / "peft", bases["sd1"], tmp_path / "alone")
    output = built(tmp_path / "run" / "model.safetensors", bases["sd1"], tmp_path / "out")
    for path in alone.rglob("*.safetensors"):
        assert path.read_bytes() == (output / path.relative_to(alone)).read_bytes()
    changed = {
        name: value + 1 if "conv_in.bias" in name else value for name, value in weights.items()
    }
    save_file(changed, tmp_path / "run" / "model.safetensors")
    other = built(tmp_path / "run" / "model.safetensors", bases["sd1"], tmp_path / "other")
    unet = DiffusionPipeline.from_pretrained(other).unet
    assert torch.equal(unet.conv_in.bias, base["conv_in.bias"] + 1)
    del changed["base_model.model.conv_out.bias"]
    save_file(changed, tmp_path / "run" / "model.safetensors")
    with pytest.raises(BaseMismatchError, match=r"conv_out\.bias"):
        built(tmp_path / "run" / "model.safetensors", bases["sd1"], tmp_path / "broken")
    assert not (tmp_path / "broken").exists()


def test_a_base_of_another_architecture_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    peft = saved(adapted_pipeline("flux", {"transformer": UNET}), tmp_path / "peft")
    with pytest.raises(BaseMismatchError, match="modules of the adapter"):
        built(peft, bases["sd1"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
