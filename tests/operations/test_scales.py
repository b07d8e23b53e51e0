"""Every module's scale is resolved once, by one order of precedence, and keeps its source."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from lora_convert.errors import CorruptCheckpointError, LossyConversionError, OptionError
from tests.writing import NAMES, kohya, peft_folder, spelled


def scales(path: str | Path) -> set[float]:
    return {module.scale for module in lc.read_adapter(path).modules}


def test_alpha_beside_the_module_wins_over_the_header(tmp_path: Path) -> None:
    fields = {"unet.r": 4, "unet.lora_alpha": 40}
    source = tmp_path / "k.safetensors"
    save_file(kohya(alpha=2.0), source, {"lora_adapter_metadata": json.dumps(fields)})
    assert scales(source) == {0.5}
    assert lc.inspect(source).scale_source == "tensor"


def test_a_scale_tensor_wins_over_alpha(tmp_path: Path) -> None:
    tensors = kohya(alpha=2.0)
    tensors |= {
        key.replace(".alpha", ".scale"): np.array(3.0, "float32")
        for key in kohya()
        if "alpha" in key
    }
    save_file(tensors, tmp_path / "k.safetensors")
    assert scales(tmp_path / "k.safetensors") == {3.0}


def test_the_header_wins_over_a_configuration_beside_it(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "run")
    fields = {"unet.r": 4, "unet.lora_alpha": 40}
    source = folder / "pytorch_lora_weights.safetensors"
    save_file(spelled("unet."), source, {"lora_adapter_metadata": json.dumps(fields)})
    assert scales(source) == {10.0}
    save_file(spelled("unet."), source)
    assert scales(source) == {2.0}
    assert lc.inspect(source).scale_source == "config"


@pytest.mark.parametrize(
    ("option", "scale"), [("alpha=16", 4.0), ("scale=2.5", 2.5), ("rank", 1.0)]
)
def test_an_option_wins_over_everything_and_that_is_said(
    tmp_path: Path, option: str, scale: float
) -> None:
    save_file(kohya(alpha=2.0), tmp_path / "k.safetensors")
    result = lc.convert(tmp_path / "k.safetensors", "diffusers", scale_from=option)
    assert scales(result.output) == {scale}
    assert any("--scale-from" in note for note in result.plan["notes"])


def test_an_option_may_be_a_configuration(tmp_path: Path) -> None:
    save_file(kohya(), tmp_path / "k.safetensors")
    folder = peft_folder(tmp_path / "other", lora_alpha=12)
    for number, option in enumerate((folder, folder / "adapter_config.json")):
        result = lc.convert(
            tmp_path / "k.safetensors",
            "peft",
            output=tmp_path / f"{number}",
            scale_from=str(option),
        )
        assert scales(result.output) == {3.0}


@pytest.mark.parametrize("option", ["alpha=", "alpha=x", "scale=nan", "scale=inf"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, option: str) -> None:
    save_file(kohya(), tmp_path / "k.safetensors")
    with pytest.raises(OptionError):
        lc.convert(tmp_path / "k.safetensors", "diffusers", scale_from=option)


def test_an_assumed_scale_is_a_loss(tmp_path: Path) -> None:
    source = tmp_path / "adapter_model.safetensors"
    save_file(spelled("base_model.model."), source)
    assert lc.inspect(source).scale_source == "assumed"
    with pytest.raises(LossyConversionError, match="assumed"):
        lc.convert(source, "diffusers", losses="refuse")
    assert not (tmp_path / "pytorch_lora_weights.safetensors").exists()
    result = lc.convert(source, "diffusers")
    assert [loss["kind"] for loss in result.plan["losses"]] == ["scale assumed"]
    assert not lc.convert(source, "diffusers", losses="allow").plan["losses"]


@pytest.mark.parametrize("document", ["lora_weights/adapter_config.json", "run.json"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_run_gives_the_scale_of_a_checkpoint_and_its_path_is_told(
    tmp_path: Path, document: str, depth: int
) -> None:
    run = tmp_path / "RUN"
    folder = run.joinpath(*["checkpoints", "deep", "checkpoint-500"][-depth:])
    folder.mkdir(parents=True)
    save_file(spelled("base_model.model.", infix=".default"), folder / "model.safetensors")
    config = {"r": 4, "lora_alpha": 32, "target_modules": ["to_q", "to_k", "to_v", "to_out.0"]}
    path = run / document
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"lora": config} if document == "run.json" else config))
    result = lc.convert(folder, "diffusers")
    assert scales(result.output) == {8.0}
    assert any(str(path) in note for note in result.plan["notes"])
    assert lc.inspect(folder / "model.safetensors").scale_paths == (str(path),)


@pytest.mark.parametrize(
    "config",
    [
        {"r": 8, "lora_alpha": 32},
        {"r": 4, "lora_alpha": 32, "target_modules": ["to_q"]},
        {"r": "4"},
    ],
)
def test_a_run_that_does_not_agree_does_not_count(
    tmp_path: Path, config: dict[str, object]
) -> None:
    folder = tmp_path / "RUN" / "checkpoints" / "checkpoint-500"
    folder.mkdir(parents=True)
    save_file(spelled(infix=".default"), folder / "model.safetensors")
    (tmp_path / "RUN" / "lora_weights").mkdir()
    (tmp_path / "RUN" / "lora_weights" / "adapter_config.json").write_text(json.dumps(config))
    assert lc.inspect(folder).scale_source == "assumed"


def test_a_configuration_beside_the_weights_must_agree(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "run", r=8)
    with pytest.raises(CorruptCheckpointError, match="rank 8"):
        lc.convert(folder, "diffusers")


def test_patterns_are_read_as_peft_reads_them(tmp_path: Path) -> None:
    """A rank without an alpha of its own keeps lora_alpha; the first pattern that matches counts."""
    folder = peft_folder(
        tmp_path / "run",
        r=2,
        rank_pattern={"to_.*": 4},
        alpha_pattern={"o_q": 1, "to_[qk]": 2, r"attn1\.to_v": 12},
    )
    found = {
        module.module.rsplit("attn1.")[1]: module.scale
        for module in lc.read_adapter(folder).modules
    }
    assert found == {"to_q": 0.5, "to_k": 0.5, "to_v": 3.0, "to_out.0": 2.0}


def test_rank_stabilised_scales_come_back_as_they_were(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "run", use_rslora=True)
    assert scales(folder) == {4.0}
    there = lc.convert(folder, "diffusers", output=tmp_path / "d").output
    back = lc.convert(there, "peft", output=tmp_path / "p").output
    config = json.loads((Path(back) / "adapter_config.json").read_text())
    assert (config["use_rslora"], config["lora_alpha"]) == (True, 8)
    assert lc.verify(folder, back).exact


def test_only_what_the_target_needs_is_written(tmp_path: Path) -> None:
    """A field that a reader's peft does not know fails the whole load."""
    result = lc.convert(
        peft_folder(tmp_path / "run"), "diffusers", output=tmp_path / "d.safetensors"
    )
    with open(result.output, "rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    fields = json.loads(head["__metadata__"]["lora_adapter_metadata"])
    assert set(fields) == {
        f"unet.{name}"
        for name in ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "target_modules")
    }
    assert fields["unet.target_modules"] == sorted(NAMES)


def test_foreign_metadata_travels_and_stale_hashes_do_not(tmp_path: Path) -> None:
    metadata = {"ss_output_name": "cat", "sshs_model_hash": "stale", "trained_by": "me"}
    save_file(kohya(), tmp_path / "k.safetensors", metadata)
    there = lc.convert(tmp_path / "k.safetensors", "peft", output=tmp_path / "p").output
    back = lc.inspect(lc.convert(there, "kohya", output=tmp_path / "b.safetensors").output)
    assert back.metadata["ss_output_name"] == "cat"
    assert back.metadata["trained_by"] == "me"
    assert "sshs_model_hash" not in back.metadata


def test_kohya_files_carry_an_fp32_alpha_and_what_a1111_lists_them_by(tmp_path: Path) -> None:
    names = tuple(name.replace("down_blocks.1", "up_blocks.0") for name in NAMES)
    source = tmp_path / "d.safetensors"
    save_file(spelled("unet.", names=names), source)
    result = lc.convert(source, "kohya", output=tmp_path / "k.safetensors", scale_from="alpha=2")
    alphas = [v for k, v in load_file(result.output).items() if k.endswith(".alpha")]
    assert {(a.dtype.name, a.shape, float(a)) for a in alphas} == {("float32", (), 2.0)}
    metadata = lc.inspect(result.output).metadata
    assert metadata["ss_base_model_version"].startswith("sdxl_")
    assert (metadata["ss_network_module"], metadata["ss_network_dim"]) == ("networks.lora", "4")


def test_the_base_model_travels_from_configuration_to_configuration(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "run", base_model_name_or_path="someone/base")
    written = Path(lc.convert(folder, "accelerate", output=tmp_path / "a").output)
    config = json.loads((written / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "someone/base"


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_scale_that_is_a_little_off_differs_whatever_the_dtype(
    tmp_path: Path, dtype: str
) -> None:
    for name, alpha in (("a", 2.0), ("b", 2.001)):
        tensors = {
            k: v if k.endswith("alpha") else v.astype(dtype) for k, v in kohya(alpha=alpha).items()
        }
        save_file(tensors, tmp_path / f"{name}.safetensors")
    proof = lc.verify(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert (proof.equal, proof.differing) == (False, 4)
