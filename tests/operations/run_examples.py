"""A run of each tool, as far as its names go: weights are a few bytes, as none is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

STATE = ("optimizer.bin", "scheduler.bin", "random_states_0.pkl")


def touch(path: Path, content: str = "weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def checkpoint(folder: Path, *names: str) -> None:
    for name in names:
        touch(folder / name)


def accelerate(run: Path) -> None:
    for step in (500, 1000, 1500):
        checkpoint(run / f"checkpoints/checkpoint-{step}", "model.safetensors", *STATE)
    checkpoint(run / "lora_weights", "adapter_model.safetensors")
    touch(run / "lora_weights/adapter_config.json", '{"base_model_name_or_path": "of/the-adapter"}')
    touch(run / "run.json", '{"schema": 1, "model": {"path": "of/the-run"}}')


def diffusers(run: Path) -> None:
    for step in (500, 1000):
        checkpoint(run / f"checkpoint-{step}", "pytorch_lora_weights.safetensors", *STATE)
    checkpoint(run, "pytorch_lora_weights.safetensors", "README.md")


def simpletuner(run: Path) -> None:
    for step in (100, 200):
        names = ("pytorch_lora_weights.safetensors", "training_state.json", *STATE)
        checkpoint(run / f"checkpoint-{step}", *names)
    checkpoint(run, "pytorch_lora_weights.safetensors")


def trainer(run: Path) -> None:
    for step in (50, 100):
        names = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")
        checkpoint(run / f"checkpoint-{step}", *names)
        touch(run / f"checkpoint-{step}/adapter_config.json", '{"base_model_name_or_path": "a/b"}')
        touch(run / f"checkpoint-{step}/trainer_state.json", "{}")
    checkpoint(run, "adapter_model.safetensors", "training_args.bin")


def epoch_step(run: Path) -> None:
    for epoch, step in ((1, 100), (2, 200), (10, 1000)):
        checkpoint(run / f"checkpoint-{epoch}-{step}", "adapter_model.bin")


def kohya(run: Path) -> None:
    for epoch in (2, 4, 10):
        touch(run / f"style-{epoch:06d}.safetensors")
    touch(run / "style.safetensors")
    checkpoint(run / "style-000010-state", "optimizer.bin", "model.safetensors")
    touch(run / "style_kohya.safetensors")


def onetrainer(run: Path) -> None:
    for step, epoch in ((1000, 9), (200, 1)):
        touch(run / f"save/2026-11-0{epoch}_10-11-12-save-{step}-{epoch}-0.safetensors")
    for step, epoch in ((1000, 9), (300, 2)):
        backup = run / f"backup/2026-11-0{epoch}_10-11-13-backup-{step}-{epoch}-5"
        checkpoint(backup, "lora/lora.safetensors", "optimizer/optimizer.pt", "meta.json")
    touch(run / "config/2026-11-01_10-11-12.json", "{}")


def ai_toolkit(run: Path) -> None:
    for step in (250, 500, 1000):
        touch(run / f"my_lora_v1_{step:09d}.safetensors")
    checkpoint(run, "my_lora_v1.safetensors", "optimizer.pt", "config.yaml")


def diffsynth(run: Path) -> None:
    for epoch in (0, 1, 10):
        touch(run / f"epoch-{epoch}.safetensors")


def kohya_steps(run: Path) -> None:
    for step in (100, 1000, 12_345_678):
        touch(run / f"at-step{step:08d}.ckpt")


def diffsynth_steps(run: Path) -> None:
    for step in (0, 500, 100_000):
        touch(run / f"step-{step}.safetensors")


def trainer_states(run: Path) -> None:
    for step in (7, 8):
        touch(run / f"checkpoint-{step}/trainer_state.json", "{}")
        checkpoint(run / f"checkpoint-{step}", "model.safetensors", "optimizer.pt")


class Example(NamedTuple):
    make: Callable[[Path], None]
    counts: tuple[int | None, ...]
    """Step of each checkpoint, in order; epoch, where there are no steps."""
    final: str | None
    base_model: str | None = None
    tool: str = ""
    """Where it is not called after its tool."""


EXAMPLES = {
    "accelerate": Example(accelerate, (500, 1000, 1500), "lora_weights", "of/the-run"),
    "simpletuner": Example(simpletuner, (100, 200), "pytorch_lora_weights.safetensors"),
    "trainer": Example(trainer, (50, 100), "adapter_model.safetensors", "a/b"),
    "diffusers": Example(diffusers, (500, 1000), "pytorch_lora_weights.safetensors"),
    "epoch-step": Example(epoch_step, (100, 200, 1000), None),
    "kohya": Example(kohya, (2, 4, 10), "style.safetensors"),
    "onetrainer": Example(onetrainer, (200, 300, 1000), None),
    "ai-toolkit": Example(ai_toolkit, (250, 500, 1000), "my_lora_v1.safetensors"),
    "diffsynth": Example(diffsynth, (0, 1, 10), None),
}


MORE = {
    "kohya by steps": Example(kohya_steps, (100, 1000, 12_345_678), None, tool="kohya"),
    "diffsynth by steps": Example(diffsynth_steps, (0, 500, 100_000), None, tool="diffsynth"),
    "trainer without PEFT": Example(trainer_states, (7, 8), None, tool="trainer"),
}


def metrics(run: Path, losses: dict[int, float]) -> None:
    """A loss by step, as this package's trainer logs it."""
    lines = [json.dumps({"step": step, "loss": loss}) for step, loss in losses.items()]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
