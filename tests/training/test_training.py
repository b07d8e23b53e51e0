"""Trainings of tiny models: they are exact, go on where they were killed, and end as files programs load."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lora_convert as lc
from lora_convert.errors import OptionError
from lora_convert_train import planning
from lora_convert_train.base import open_base
from lora_convert_train.errors import BaseModelError, ResumeError, TrainingError
from lora_convert_train.loop import Step
from lora_convert_train.planning import plan_training
from lora_convert_train.run_folder import RunFolder
from lora_convert_train.settings import Settings
from lora_convert_train.training import Outcome, Watcher, read_items, train
from tests.oracles.tiny_pipelines import PIPELINES
from tests.storage.forking import calls_of, killed_at
from tests.storage.kills import MOMENTS
from tests.training.kill_campaign import Campaign
from tests.training.learning import fallen
from tests.training.reading import bits, metrics

WEIGHTS = "adapter_model.safetensors"
ARCHITECTURES = ("sd1", "sdxl", "flux")

STOPPING = """
import os, sys
from lora_convert_train.cli._options import settings_of
from lora_convert_train.training import Watcher, train

class Stops(Watcher):
    def stepped(self, step):
        if step.step == {step}:
            os.kill(os.getpid(), {signal})

outcome = train(settings_of({config!r}, {{}}), watcher=Stops())
sys.exit(128 + outcome.signal if outcome.signal else 0)
"""


def settings(base: Path, photos: Path, output: Path, **changes: Any) -> Settings:
    """Batches of two, two of them a step, a rate that goes on, flips and dropped captions."""
    usual: dict[str, Any] = {
        "pretrained_model_name_or_path": str(base),
        "train_data_dir": str(photos),
        "output_dir": str(output),
        "resolution": 32,
        "bucket_step": 8,
        "train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "max_train_steps": 20,
        "save_steps": 10,
        "learning_rate": 1e-3,
        "lr_scheduler": "cosine",
        "lr_warmup_steps": 3,
        "random_flip": True,
        "caption_dropout": 0.3,
        "mixed_precision": "no",
        "device": "cpu",
        "lora_rank": 4,
        "lora_alpha": 8.0,
    }
    return Settings(**{**usual, **changes})


def stopped(asked: Settings, step: int, number: int) -> int:
    """Train in a process that gets a signal after a step; its exit code."""
    from lora_convert_train.settings import as_toml

    config = Path(asked.output_dir).with_suffix(".toml")
    config.write_text(as_toml(asked), encoding="utf-8")
    code = STOPPING.format(step=step, signal=int(number), config=str(config))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )
    return done.returncode


@pytest.fixture(autouse=True)
def _as_in_a_new_process() -> None:
    """accelerate keeps one precision a process."""
    from accelerate.state import AcceleratorState

    torch.set_num_threads(1)
    AcceleratorState._reset_state()


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "sdxl with text encoders"])
def test_ten_and_a_kill_and_ten_are_twenty(
    architecture: str, base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    """Bit for bit: weights, optimizer, learning rate and metrics."""
    name, _, text = architecture.partition(" with ")
    changes = {"train_text_encoder": bool(text)}
    whole = settings(base(name), photos, tmp_path / "whole", **changes)
    outcome = train(whole)
    assert (outcome.step, outcome.signal) == (20, 0)
    parts = settings(base(name), photos, tmp_path / "parts", **changes)
    assert stopped(parts, 13, signal.SIGKILL) == -signal.SIGKILL
    assert len(metrics(tmp_path / "parts")) == 13
    assert RunFolder(parts.output_dir).steps() == [10]
    assert train(parts, resume=True).step == 20
    assert bits(tmp_path / "parts", 20) == bits(tmp_path / "whole", 20)
    assert len(bits(tmp_path / "whole", 20)) == (5 if text else 3)
    assert lc.inspect(outcome.run.checkpoint(20)).unexplained == ()
    assert outcome.exported
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    assert [line["step"] for line in metrics(tmp_path / "parts")] == list(range(1, 21))


@pytest.mark.parametrize("architecture", [*sorted(set(PIPELINES) - set(ARCHITECTURES))])
def test_every_architecture_trains_and_is_exported(
    architecture: str, base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    outcome = train(settings(base(architecture), photos, tmp_path / "run", targets="attn"))
    assert outcome.step == 20 and len(metrics(tmp_path / "run")) == 20
    weights = load_file(Path(outcome.exported) / "adapter_model.safetensors")
    assert any(tensor.abs().sum() > 0 for name, tensor in weights.items() if "lora_B" in name)
    architecture_of = outcome.run.read_manifest()["architecture"]
    for path in Path(outcome.exported).glob("*.safetensors"):
        assert lc.inspect(path, architecture=architecture_of).unexplained == ()
    assert len(list(Path(outcome.exported).glob("*.safetensors"))) == 3


def test_a_signal_saves_and_exports(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    asked = settings(base("flux"), photos, tmp_path / "run")
    assert stopped(asked, 8, signal.SIGTERM) == 128 + signal.SIGTERM
    run = RunFolder(asked.output_dir)
    assert run.steps() == [8]
    assert run.read_manifest()["state"] == "interrupted"
    assert lc.inspect(run.weights).unexplained == ()
    train(asked, resume=True)
    train(settings(base("flux"), photos, tmp_path / "whole"))
    assert bits(tmp_path / "run", 20) == bits(tmp_path / "whole", 20)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_result_draws_the_same_in_all_formats(
    architecture: str, base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    from diffusers import DiffusionPipeline

    from tests.oracles.tiny_pipelines import picture

    asked = settings(
        base(architecture), photos, tmp_path / "run", max_train_steps=6, learning_rate=1e-2
    )
    outcome = train(asked)
    weights = Path(outcome.exported)
    names = ["pytorch_lora_weights.safetensors", "run.safetensors"]
    for name in names:
        assert lc.verify(weights / "adapter_model.safetensors", weights / name).equal
    if architecture == "flux":  # Diffusers reads kohya's names of the published size only
        lc.convert(weights / "run.safetensors", "diffusers", output=weights / "back.safetensors")
        names[1] = "back.safetensors"
    drawn = []
    for name in (None, *names):
        pipeline = DiffusionPipeline.from_pretrained(base(architecture))
        if name:
            pipeline.load_lora_weights(str(weights), weight_name=name)
        drawn.append(picture(pipeline, architecture))
    plain, *others = drawn
    assert all(not torch.equal(plain, one) for one in others)
    for one in others[1:]:
        torch.testing.assert_close(one, others[0], atol=1e-5, rtol=0)


def test_a_finished_run_is_left_as_it_is(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    asked = settings(base("flux"), photos, tmp_path / "run", max_train_steps=2)
    train(asked)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    noted = Noted()
    assert train(asked, resume=True, watcher=noted).step == 2
    assert "finished at step 2 already" in noted.notes[0]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
    with pytest.raises(ResumeError, match="holds a run of 2 steps already"):
        train(asked)


class Noted(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_more_steps_than_before(base: Callable[[str], Path], photos: Path, tmp_path: Path) -> None:
    constant = {"lr_scheduler": "constant", "lr_warmup_steps": 0}
    asked = settings(base("flux"), photos, tmp_path / "run", max_train_steps=4, **constant)
    train(asked)
    more = settings(base("flux"), photos, tmp_path / "run", max_train_steps=8, **constant)
    assert train(more, resume=True).step == 8
    train(settings(base("flux"), photos, tmp_path / "whole", max_train_steps=8, **constant))
    assert bits(tmp_path / "run", 8) == bits(tmp_path / "whole", 8)


def test_a_broken_checkpoint_is_passed_over(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    asked = settings(base("flux"), photos, tmp_path / "run", max_train_steps=8, save_steps=4)
    train(asked)
    broken = tmp_path / "run" / "checkpoints" / "checkpoint-8" / "adapter_model.safetensors"
    whole = bits(tmp_path / "run", 8)
    broken.write_bytes(broken.read_bytes()[:100])
    (tmp_path / "run" / "run.json").unlink()
    noted = Noted()
    assert train(asked, resume=True, watcher=noted).step == 8
    assert any("checkpoint-8 cannot be gone on from" in note for note in noted.notes)
    assert bits(tmp_path / "run", 8) == whole


def test_what_breaks_exactness_is_said(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    asked = settings(base("flux"), photos, tmp_path / "run", max_train_steps=2, save_steps=1)
    train(asked)
    other = settings(
        base("flux"), photos, tmp_path / "run", max_train_steps=3, train_batch_size=1, lora_rank=4
    )
    noted = Noted()
    train(other, resume=True, watcher=noted)
    assert "not bit for bit as before: train_batch_size: 2 before, 1 now" in noted.notes
    with pytest.raises(ResumeError, match="--lora-rank was 4, and is 8 now"):
        train(
            settings(base("flux"), photos, tmp_path / "run", max_train_steps=4, lora_rank=8),
            resume=True,
        )


def test_a_loss_that_is_no_number_stops_with_the_last_checkpoint(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    asked = settings(
        base("flux"), photos, tmp_path / "run", learning_rate=1e30, save_steps=1, lr_warmup_steps=0
    )
    with pytest.raises(TrainingError, match="the loss is"):
        train(asked)
    manifest = RunFolder(asked.output_dir).read_manifest()
    assert manifest["state"] == "failed" and "the loss is" in manifest["error"]


def test_the_frozen_base_is_not_saved_and_the_lora_is_float32(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    asked = settings(
        base("sd1"), photos, tmp_path / "run", max_train_steps=2, mixed_precision="bf16"
    )
    train(asked)
    folder = Path(RunFolder(asked.output_dir).checkpoint(2))
    weights = load_file(folder / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert all("lora_" in name for name in weights)
    assert lc.inspect(folder).unexplained == ()
    assert any(tensor.abs().sum() > 0 for name, tensor in weights.items() if "lora_B" in name)


@pytest.mark.parametrize("kind", ["dora", "lokr"])
def test_other_algorithms(
    kind: str, base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    asked = settings(base("sd1"), photos, tmp_path / "run", max_train_steps=2, adapter_type=kind)
    outcome = train(asked)
    assert lc.inspect(outcome.run.checkpoint(2)).unexplained == ()
    assert outcome.exported


def test_the_loss_falls_on_one_image(tmp_path: Path) -> None:
    """``python -m tests.training.learning`` asks for more, of more steps."""
    assert fallen("flux", tmp_path, 100) < 0.85


def test_a_kill_anywhere_in_a_save_leaves_what_goes_on(tmp_path: Path) -> None:
    """``python -m tests.training.kill_campaign`` is the whole of this."""
    campaign = Campaign(tmp_path)
    points = campaign.points("flux")
    for point in points[:: len(points) // 6]:
        campaign.kill(*point)
    assert campaign.problems == []


def test_a_base_that_cannot_be_trained(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    with pytest.raises(BaseModelError, match="is no pipeline"):
        train(settings(tmp_path / "base", photos, tmp_path / "run"))
    (tmp_path / "base" / "model_index.json").write_text('{"_class_name": "AudioPipeline"}')
    with pytest.raises(BaseModelError, match="cannot be trained"):
        train(settings(tmp_path / "base", photos, tmp_path / "run"))
    (tmp_path / "base" / "scheduler").mkdir()
    (tmp_path / "base" / "model_index.json").write_text(
        '{"_class_name": "StableDiffusionXLPipeline"}'
    )
    scheduler = tmp_path / "base" / "scheduler" / "scheduler_config.json"
    scheduler.write_text('{"_class_name": "EDMDPMSolverMultistepScheduler"}')
    with pytest.raises(BaseModelError, match="EDMDPMSolverMultistepScheduler cannot be trained"):
        train(settings(tmp_path / "base", photos, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_converter_reads_a_run_with_no_further_option(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from lora_convert.cli._app import app

    asked = settings(base("sd1"), photos, tmp_path / "run", max_train_steps=4, save_steps=2)
    outcome: Outcome = train(asked)
    run = CliRunner()
    for arguments in (
        ["runs", "show", outcome.run.path],
        ["inspect", f"{outcome.run.path}@best"],
        ["batch", outcome.run.path, "--best", "1"],
        ["space", outcome.run.path],
    ):
        done = run.invoke(app, arguments)
        assert done.exit_code == 0, (arguments, done.output, done.exception)
    assert list((tmp_path / "run" / "checkpoint_pipelines").glob("checkpoint-*/model_index.json"))


def test_a_run_that_is_being_trained_is_left_alone(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    asked = settings(base("flux"), photos, tmp_path / "run", max_train_steps=2, save_steps=1)
    train(asked)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = RunFolder(asked.output_dir)
    run.update_manifest(state="running", pid=other.pid)
    more = settings(base("flux"), photos, tmp_path / "run", max_train_steps=3)
    with pytest.raises(ResumeError, match=f"is being trained by process {other.pid}"):
        train(more, resume=True)
    other.communicate(b"\n")
    assert train(more, resume=True).step == 3


@pytest.mark.parametrize(
    ("optimizer", "package"),
    [
        ("adafactor", "torch"),
        ("prodigy", "prodigyopt"),
        ("schedulefree", "schedulefree"),
        ("adamw8bit", "bitsandbytes"),
    ],
)
def test_other_optimizers_learn_and_go_on_bit_for_bit(
    optimizer: str, package: str, base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    pytest.importorskip(package)

    class Breaks(Watcher):
        def stepped(self, step: Step) -> None:
            if step.step == 5:
                raise KeyboardInterrupt

    asked = {"optimizer": optimizer, "max_train_steps": 6, "save_steps": 2, "lr_warmup_steps": 0}
    train(settings(base("sd1"), photos, tmp_path / "whole", **asked))
    parts = settings(base("sd1"), photos, tmp_path / "parts", **asked)
    with pytest.raises(KeyboardInterrupt):
        train(parts, watcher=Breaks())
    assert train(parts, resume=True).step == 6
    assert bits(tmp_path / "parts", 6) == bits(tmp_path / "whole", 6)
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    folder = tmp_path / "whole/checkpoints"
    first, last = (load_file(folder / f"checkpoint-{n}/{WEIGHTS}") for n in (2, 6))
    assert any(not torch.equal(first[name], last[name]) for name in first)


def test_a_document_killed_at_any_call_is_whole_and_leaves_nothing(tmp_path: Path) -> None:
    run = RunFolder(str(tmp_path / "run"))
    run.update_manifest(step=0)
    calls = calls_of(lambda: run.update_manifest(step=0))
    for call in range(1, calls + 1):
        for moment in MOMENTS:
            run.update_manifest(step=0)
            assert killed_at(lambda: run.update_manifest(step=1), call, moment)
            assert run.read_manifest()["step"] in {0, 1}
            run.update_manifest(step=2)
            assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["run.json"]


def test_memory_that_is_short_is_told_before_it_is_used(
    base: Callable[[str], Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = settings(base("sd1"), photos, tmp_path / "run", max_train_steps=1)
    plan = plan_training(asked, read_items(asked), open_base(asked.pretrained_model_name_or_path))
    assert not [note for note in plan.notes if "are needed" in note]
    monkeypatch.setattr(planning, "free_memory", lambda device: plan.memory - 1)
    told: list[str] = []

    class Listens(Watcher):
        def note(self, text: str) -> None:
            told.append(text)

    train(asked, watcher=Listens())
    (note,) = (note for note in told if "are needed" in note)
    assert "--quantize nf4" in note
    smaller = settings(
        base("sd1"), photos, tmp_path / "run", quantize="fp8", mixed_precision="bf16"
    )
    halves = plan_training(smaller, read_items(smaller), open_base(str(base("sd1"))))
    assert halves.weights * 4 == plan.weights


def test_a_base_kept_in_eight_bits_is_trained_on(
    base: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    asked = settings(base("sd1"), photos, tmp_path / "run", max_train_steps=4, save_steps=2)
    for kind in ("nf4", "int8"):
        with pytest.raises(OptionError, match="CUDA"):
            train(dataclasses.replace(asked, quantize=kind))
    with pytest.raises(OptionError, match="--mixed-precision bf16"):
        train(dataclasses.replace(asked, quantize="fp8"))
    outcome = train(dataclasses.replace(asked, quantize="fp8", mixed_precision="bf16"))
    first, last = (load_file(f"{outcome.run.checkpoint(n)}/{WEIGHTS}") for n in (2, 4))
    assert any(not torch.equal(first[name], last[name]) for name in first)
    assert {one.dtype for one in last.values()} == {torch.float32}
