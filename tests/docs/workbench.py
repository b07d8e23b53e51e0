"""The files that the documentation's commands are run on.

Pages speak of files a reader might have: ``my-run/``, ``style.safetensors``. Here they are made, small,
from the adapter of ``fixtures/tiny-run``; torch's files by torch, as training scripts do. Each page gets
a copy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import warnings
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.distributed.checkpoint as dcp
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from tests.docs.bases import build_bases
from tests.training.photos import write_photos

ROOT = Path(__file__).resolve().parents[2]
TINY_RUN = ROOT / "fixtures" / "tiny-run"
CHECKPOINT = "checkpoints/checkpoint-500"

TRAINED = {
    "format": "pt",
    "ss_base_model_version": "sd_v1",
    "ss_network_module": "networks.lora",
    "ss_network_dim": "4",
    "ss_network_alpha": "8.0",
    "ss_output_name": "red-shoes",
    "ss_resolution": "(512, 512)",
    "ss_session_id": "2830415637",
    "ss_sd_model_name": "v1-5-pruned-emaonly.safetensors",
    "ss_dataset_dirs": json.dumps({"10_red shoes": {"n_repeats": 10, "img_count": 12}}),
    "ss_tag_frequency": json.dumps({"10_red shoes": {"sks shoes": 12, "on grass": 5, "studio": 4}}),
    "ss_training_comment": "config: /home/ada/loras/shoes.toml",
}
"""What kohya's sd-scripts says of a training."""


def build(folder: Path) -> None:
    """Make every file that pages name, in `folder`."""
    shutil.copytree(ROOT / "fixtures", folder / "fixtures")
    shutil.copytree(TINY_RUN, folder / "my-run")
    source = os.fspath(folder / "my-run" / CHECKPOINT / "model.safetensors")
    _save(Path(source), {key: _trained(tensor) for key, tensor in load_file(source).items()})
    lc.convert(source, "kohya", output=os.fspath(folder / "style.safetensors"))
    save_file(load_file(folder / "style.safetensors"), folder / "shoes.safetensors", TRAINED)
    lc.convert(source, "diffusers", output=os.fspath(folder / "converted.safetensors"))
    lc.convert(source, "diffusers", output=os.fspath(folder / "rounded.safetensors"), dtype="bf16")
    lc.convert(source, "peft", output=os.fspath(folder / "adapter"))
    converted = load_file(folder / "converted.safetensors")
    _save(folder / "no-scale.safetensors", converted)
    _save(
        folder / "stripped.safetensors",
        {key.removeprefix("unet."): t for key, t in converted.items()},
    )
    _save(folder / "other.safetensors", {key: t * np.float32(0.5) for key, t in converted.items()})
    _save(folder / "two-adapters.safetensors", _named(converted, "character", "style"))
    _save(
        folder / "mystery.safetensors",
        {**converted, "unet.mid_block.mystery": np.zeros(4, np.float32)},
    )
    _save(folder / "text-encoders.safetensors", _text_encoders())
    _save(folder / "wan-low-noise.safetensors", _wan())
    _build_other_algorithms(folder)
    write_photos(folder / "photos", ((64, 48),) * 12)
    write_photos(folder / "pictures", ((64, 48),) * 2)
    broken = folder / "broken.safetensors"
    broken.write_bytes((folder / "converted.safetensors").read_bytes()[:5000])
    pointer = (
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 151113088\n"
    )
    (folder / "pointer.safetensors").write_text(pointer, encoding="utf-8")
    (folder / "loras").mkdir()
    for name in ("style", "no-scale", "rounded", "broken"):
        shutil.copy(folder / f"{name}.safetensors", folder / "loras")
    _build_trouble(folder / "trouble", load_file(folder / "style.safetensors"), converted)
    _build_torch(folder)
    _build_downloads(folder)
    _build_runs(folder / "outputs", folder / "adapter", folder / "style.safetensors")
    build_bases(folder / "models", TINY_RUN / CHECKPOINT / "model.safetensors")
    _build_wrapped_run(folder / "outputs" / "boots", Path(source))


def _wan() -> dict[str, np.ndarray]:
    """What musubi-tuner writes of Wan's attention, two blocks deep."""
    rng = np.random.default_rng(0)
    found = {}
    for block, part in product(range(2), "qkvo"):
        module = f"lora_unet_blocks_{block}_self_attn_{part}"
        found[f"{module}.lora_down.weight"] = rng.standard_normal((4, 16), np.float32)
        found[f"{module}.lora_up.weight"] = rng.standard_normal((16, 4), np.float32)
        found[f"{module}.alpha"] = np.float32(2.0)
    return found


def _build_trouble(
    folder: Path, style: dict[str, np.ndarray], converted: dict[str, np.ndarray]
) -> None:
    """Adapters that do nothing or harm, and some that cannot be converted."""
    folder.mkdir()
    ups = [key for key in converted if ".lora_B." in key]
    fresh = {key: np.zeros_like(t) if key in ups else t for key, t in converted.items()}
    _save(folder / "fresh.safetensors", fresh)
    first = next(iter(converted))
    _save(folder / "diverged.safetensors", {**converted, first: converted[first] * np.nan})
    half = {key: tensor for key, tensor in converted.items() if key != ups[0]}
    _save(folder / "half.safetensors", half)
    mixed = {**converted, ups[0]: converted[ups[0]][:, :3]}
    _save(folder / "mixed-ranks.safetensors", mixed)
    large = {key: t * np.float32(1e6) if key in ups else t for key, t in converted.items()}
    _save(folder / "large-values.safetensors", large)
    columns = {
        key.replace("lora_down.weight", "dora_scale"): np.ones((1, *t.shape[1:]), np.float32)
        for key, t in style.items()
        if key.endswith("lora_down.weight")
    }
    _save(folder / "column-dora.safetensors", {**style, **columns})
    module = "lora_unet_experts_0_query"
    own = {f"{module}.lora_down.weight": (4, 16), f"{module}.lora_up.weight": (16, 4)}
    _save(
        folder / "my-own-model.safetensors",
        {key: np.ones(shape, np.float32) for key, shape in own.items()},
    )


def _build_torch(folder: Path) -> None:
    """What scripts leave behind that call ``torch.save``, ``save_state`` or DCP."""
    adapter = _as_torch(folder / "adapter" / "adapter_model.safetensors")
    whole = _as_torch(folder / "my-run" / CHECKPOINT / "model.safetensors")
    payload = {
        "epoch": 4,
        "global_step": 500,
        "lora_config": {"r": 4, "lora_alpha": 8, "target_modules": ["to_q", "to_k", "to_v"]},
        "args": argparse.Namespace(rank=4, learning_rate=1e-4, output_dir="my-run"),
        "lora_state_dict": adapter,
        "optimizer": _optimizer(adapter),
        "loss": 0.0731,
    }
    torch.save(payload, folder / "epoch_4.pth")
    torch.save({"unet": adapter, "text_encoder": _clip()}, folder / "pipeline.pt")
    torch.save(adapter, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(4, 4), folder / "whole-object.pt")
    torch.save({"state_dict": adapter, "notes": _Harmless()}, folder / "unsafe.pt")
    _damage(folder / "epoch_4.pth", folder / "damaged.pth")

    accelerate = folder / "bin-run" / CHECKPOINT
    accelerate.mkdir(parents=True)
    torch.save(whole, accelerate / "pytorch_model.bin")
    _save_states(accelerate, adapter)
    _save_sharded(folder / "sharded", whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this is one process
        dcp.save({"model": adapter}, checkpoint_id=folder / "fsdp-run" / "pytorch_model_fsdp_0")
    step = folder / "deepspeed-run" / "global_step500"
    step.mkdir(parents=True)
    torch.save({"module": adapter}, step / "mp_rank_00_model_states.pt")
    for name, text in (("zero_to_fp32.py", "# DeepSpeed's own script\n"), ("latest", step.name)):
        (step.parent / name).write_text(text, encoding="utf-8")


def _build_runs(outputs: Path, adapter: Path, style: Path) -> None:
    """Runs of three tools, with the dates and losses of a quiet week."""
    numbers = random.Random(7)
    shoes = outputs / "shoes"
    for day, step in enumerate((500, 1000, 1500), 2):
        checkpoint = shoes / "checkpoints" / f"checkpoint-{step}"
        shutil.copytree(adapter, checkpoint)
        (checkpoint / "optimizer.bin").write_bytes(bytes(150_000))
        _at_noon(checkpoint, day)
    shutil.copytree(adapter, shoes / "lora_weights")
    document = {"state": "finished", "model": {"path": "models/stable-diffusion-v1-5"}}
    (shoes / "run.json").write_text(json.dumps(document), encoding="utf-8")
    with (shoes / "metrics.jsonl").open("w", encoding="utf-8") as lines:
        for step in range(1, 1501):
            loss = 0.1 + 0.05 * ((step - 1000) / 1000) ** 2 + numbers.gauss(0, 0.03)
            lines.write(json.dumps({"step": step, "loss": round(loss, 4)}) + "\n")
    kohya = outputs / "kohya"
    kohya.mkdir()
    for day, stem in enumerate(("style-000002", "style-000004", "ink-step00000800"), 9):
        shutil.copyfile(style, kohya / f"{stem}.safetensors")
        _at_noon(kohya / f"{stem}.safetensors", day)
    toolkit = outputs / "portrait"
    toolkit.mkdir()
    for day, step in enumerate((250, 500), 14):
        name = f"portrait_{step:09d}.safetensors"
        shutil.copyfile(style, toolkit / name)
        _at_noon(toolkit / name, day)


def _build_wrapped_run(run: Path, checkpoint: Path) -> None:
    """A run that saved the whole wrapped model each time."""
    whole = load_file(checkpoint)
    for day, step in enumerate((500, 1000, 1500), 2):
        folder = run / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        factor = np.float32(step / 500)
        trained = {k: t * factor if ".lora_" in k else t for k, t in whole.items()}
        _save(folder / "model.safetensors", trained)
        (folder / "optimizer.bin").write_bytes(bytes(150_000))
        _at_noon(folder, day)
    document = {"state": "finished", "model": {"path": "models/stable-diffusion-v1-5"}}
    (run / "run.json").write_text(json.dumps(document), encoding="utf-8")


def _build_other_algorithms(folder: Path) -> None:
    """A LoKr and an OFT of the modules that the LoRA has."""
    rng = np.random.default_rng(2)
    read = lc.read_adapter(folder / "converted.safetensors")
    lokr, oft = [], []
    for module in read.modules:
        height, width = module.tensors["up"].shape[0], module.tensors["down"].shape[1]
        shapes = {"lokr_w1": (2, 2), "lokr_w2": (height // 2, width // 2)}
        factors = {role: _drawn(rng, shape) for role, shape in shapes.items()}
        lokr.append(module._replace(algorithm="lokr", tensors=factors, scale=1.0))
        blocks = {"oft_blocks": _drawn(rng, (height // 2, 2, 2))}
        oft.append(
            module._replace(
                algorithm="oft", tensors=blocks, scale=1.0, settings={"constraint": 0.001}
            )
        )
    for name, modules in (("portrait-lokr", lokr), ("turned-oft", oft)):
        made = read._replace(modules=tuple(modules), metadata={})
        lc.write_adapter(made, folder / f"{name}.safetensors", to="kohya")


def _drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (0.1 * rng.standard_normal(shape)).astype("float16")


def _at_noon(path: Path, day: int) -> None:
    """Date a file, or what lies in a folder, so that it is that day in nearly every time zone."""
    moment = datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()
    for each in [path, *path.rglob("*")]:
        os.utime(each, (moment, moment))


def _build_downloads(folder: Path) -> None:
    """A folder of files of unknown origin."""
    downloads = folder / "downloads"
    downloads.mkdir()
    for name in ("style.safetensors", "epoch_4.pth", "unsafe.pt", "old.pt"):
        shutil.copy(folder / name, downloads)
    shutil.copy(folder / "pointer.safetensors", downloads / "a-pointer.safetensors")
    page = "<!DOCTYPE html>\n<html><title>Sign in</title></html>\n"
    (downloads / "a-page.safetensors").write_text(page, encoding="utf-8")
    vectors = {"emb_params": np.ones((4, 768), np.float32)}
    _save(downloads / "embedding.safetensors", vectors)
    model = load_file(folder / "my-run" / CHECKPOINT / "model.safetensors")
    plain = {
        key.removeprefix("base_model.model.").replace(".base_layer", ""): tensor
        for key, tensor in model.items()
        if ".lora_" not in key
    }
    _save(downloads / "model.safetensors", plain)
    for name in ("optimizer.bin", "random_states_0.pkl"):
        shutil.copy(folder / "bin-run" / CHECKPOINT / name, downloads)


class _Harmless:
    """What a hostile file holds in place of an object, but for what it calls."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this line would have been printed by whoever opened the file",)


def _as_torch(path: Path) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(tensor) for key, tensor in load_file(path).items()}


def _optimizer(adapter: dict[str, torch.Tensor]) -> dict[str, object]:
    """The state of a real optimiser of one tensor, after a step."""
    weight = torch.nn.Parameter(next(iter(adapter.values())).clone())
    weight.grad = torch.ones_like(weight)
    optimizer = torch.optim.AdamW([weight])
    optimizer.step()
    return optimizer.state_dict()


def _clip() -> dict[str, torch.Tensor]:
    """LoRA of a projection of a text encoder."""
    module = "base_model.model.encoder.layers.0.self_attn.q_proj"
    numbers = torch.Generator().manual_seed(0)
    return {
        f"{module}.lora_A.weight": torch.randn(4, 768, generator=numbers),
        f"{module}.lora_B.weight": torch.randn(768, 4, generator=numbers),
    }


def _save_states(folder: Path, adapter: dict[str, torch.Tensor]) -> None:
    """What Accelerate's ``save_state`` writes beside the weights (accelerate 1.15, checkpointing.py)."""
    torch.save(_optimizer(adapter), folder / "optimizer.bin")
    torch.save({"last_epoch": 4}, folder / "scheduler.bin")
    states = {
        "step": 500,
        "random_state": random.Random(0).getstate(),
        "numpy_random_seed": np.random.RandomState(0).get_state(),
        "torch_manual_seed": torch.Generator().manual_seed(0).get_state(),
    }
    torch.save(states, folder / "random_states_0.pkl")


def _save_sharded(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """``pytorch_model.bin`` in two shards, as ``save_model`` with a ``max_shard_size`` writes it."""
    folder.mkdir()
    keys = [*tensors]
    halves = (keys[: len(keys) // 2], keys[len(keys) // 2 :])
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    for name, half in zip(names, halves, strict=True):
        torch.save({key: tensors[key] for key in half}, folder / name)
    weight_map = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    path = folder / "pytorch_model.bin.index.json"
    path.write_text(json.dumps(index), encoding="utf-8")


def _damage(source: Path, target: Path) -> None:
    """A copy in which one bit of the weights is another."""
    data = bytearray(source.read_bytes())
    data[data.index(b"/data/0") + 200] ^= 1
    target.write_bytes(data)


def _trained(tensor: np.ndarray) -> np.ndarray:
    """A factor as a longer run leaves it: not so small that fp16 has no precision there."""
    return tensor * np.float32(4096) if 0 < np.abs(tensor).max() < 1e-3 else tensor


def _save(path: Path, tensors: dict[str, np.ndarray]) -> None:
    save_file({key: np.ascontiguousarray(tensor) for key, tensor in tensors.items()}, path)


def _named(tensors: dict[str, np.ndarray], *adapters: str) -> dict[str, np.ndarray]:
    """The same factors once for each adapter, as a live model's own names."""
    return {
        key.removeprefix("unet.").replace(".weight", f".{adapter}.weight"): tensor
        for key, tensor in tensors.items()
        for adapter in adapters
    }


def _text_encoders() -> dict[str, np.ndarray]:
    """A kohya adapter of both of SDXL's text encoders, alpha 4 at rank 8."""
    numbers = np.random.default_rng(0)
    tensors = {}
    for encoder, width in (("te1", 768), ("te2", 1280)):
        for projection in ("q_proj", "v_proj"):
            module = f"lora_{encoder}_text_model_encoder_layers_0_self_attn_{projection}"
            tensors[f"{module}.lora_down.weight"] = numbers.normal(size=(8, width)).astype(
                np.float32
            )
            tensors[f"{module}.lora_up.weight"] = numbers.normal(size=(width, 8)).astype(np.float32)
            tensors[f"{module}.alpha"] = np.array(4, np.float32)
    return tensors
