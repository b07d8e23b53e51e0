"""A base in one file becomes the pipeline that Diffusers reads it as, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline

from lora_convert.errors import CorruptCheckpointError, OptionError
from lora_convert.operations.single_files import pipeline_of
from tests.hostile.answering import answer
from tests.oracles.acting import adapted_pipeline, saved
from tests.oracles.single_files import save_single_file
from tests.oracles.tiny_pipelines import pipeline, save_pipeline


def nowhere(name: str, patterns: list[str]) -> str:
    raise AssertionError(f"{name} is asked of the Hub")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return str(save_pipeline("sd1", tmp_path / "config"))


def test_the_weights_of_the_file_with_the_rest_of_the_configuration(
    config: str, tmp_path: Path
) -> None:
    made = pipeline("sd1")
    with torch.no_grad():
        made.unet.conv_in.bias += 1
    file = str(save_single_file(made, tmp_path / "one.safetensors"))
    folder = pipeline_of(file, config, nowhere)
    loaded = DiffusionPipeline.from_pretrained(folder)
    for component in ("unet", "vae", "text_encoder"):
        wanted = getattr(made, component).state_dict()
        for name, value in getattr(loaded, component).state_dict().items():
            assert torch.equal(value, wanted[name]), name
    state = {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}
    assert pipeline_of(file, config, nowhere) == folder
    assert state == {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}
    os.utime(file, ns=(1, 1))
    assert pipeline_of(file, config, nowhere) != folder


def test_what_cannot_be_such_a_base_is_refused(config: str, tmp_path: Path) -> None:
    made = pipeline("sd1")
    file = str(save_single_file(made, tmp_path / "one.safetensors"))
    with pytest.raises(OptionError, match="config"):
        pipeline_of(file, None, nowhere)
    with pytest.raises(OptionError, match="config"):
        pipeline_of(file, str(tmp_path), nowhere)
    torch.save(made.unet.state_dict(), tmp_path / "one.ckpt")
    with pytest.raises(OptionError, match="base"):
        pipeline_of(str(tmp_path / "one.ckpt"), config, nowhere)
    (tmp_path / "broken.safetensors").write_bytes(Path(file).read_bytes()[:5000])
    with pytest.raises(CorruptCheckpointError, match="broken"):
        pipeline_of(str(tmp_path / "broken.safetensors"), config, nowhere)
    other = str(tmp_path / "config" / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(CorruptCheckpointError, match="Diffusers cannot read it"):
        pipeline_of(other, config, nowhere)
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.json"))


def test_pipelines_and_single_files_of_such_a_base(config: str, tmp_path: Path) -> None:
    """`--base FILE --config DIR` gives a pipeline, `--single-file` one file, of the same weights."""
    file = str(save_single_file(pipeline("sd1"), tmp_path / "one.safetensors"))
    unet = {"r": 4, "lora_alpha": 8, "target_modules": ["to_q", "conv1"]}
    peft = str(saved(adapted_pipeline("sd1", {"unet": unet}), tmp_path / "peft"))
    folder, single = str(tmp_path / "out"), str(tmp_path / "out.safetensors")
    base = ["--base", file]
    assert answer(["pipeline", peft, *base, "-o", folder]).exit_code == 2
    assert answer(["pipeline", peft, *base, "--config", config, "-o", folder]).exit_code == 0
    assert answer(["pipeline", peft, *base, "--single-file", "-o", single]).exit_code == 0
    assert (
        answer(["pipeline", peft, "--base", config, "--single-file", "-o", single]).exit_code == 2
    )
    ours = DiffusionPipeline.from_pretrained(folder).unet.state_dict()
    theirs = DiffusionPipeline.from_pretrained(pipeline_of(single, config, nowhere))
    untouched = pipeline("sd1").unet.state_dict()
    for name, value in theirs.unet.state_dict().items():
        assert torch.equal(value, ours[name]), name
    assert any(not torch.equal(value, untouched[name]) for name, value in ours.items())
