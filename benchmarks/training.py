"""A training step without the VAE and the text encoder in it, and checkpoints without the base."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from statistics import median
from time import process_time
from typing import Any

from benchmarks.claims import Claim, Settings, main
from lora_convert_train.dataset import read_dataset
from lora_convert_train.hardware import hardware_for
from lora_convert_train.images import pixels
from lora_convert_train.order import Order
from lora_convert_train.preparing import Prepared, prepare
from lora_convert_train.recipes import Recipe, recipe_for
from lora_convert_train.settings import Settings as Asked

_IMAGES = 8
_STEPS = 4
"""In each turn."""
_SIDE = 256
_SEED_SCRIPT = 3.44e9
"""Bytes of a checkpoint that held the whole wrapped UNet of SD1.5 in float32."""


def claims(settings: Settings) -> Iterator[Claim]:
    """SD1 at an eighth of its width and its real depth, one thread; then the size of a real checkpoint."""
    import torch

    torch.set_num_threads(1)
    os.environ["XDG_CACHE_HOME"] = os.path.join(settings.folder, "cache")
    base = _write_base(os.path.join(settings.folder, "eighth"), 8)
    prepared = _prepared(base, _photos(settings.folder), settings.folder)
    ours = _turns_of(prepared)
    theirs = _turns_of_example(prepared)
    ours()  # what is encoded on the way is encoded once, and then known
    theirs()
    taken = [(_seconds(ours), _seconds(theirs)) for _ in range(settings.turns(5))]
    yield Claim(
        "steps a processor second ÷ VAE, text encoder and UNet in every step",
        median(other / one for one, other in taken),
        1.2,
        "×",
        f"{median(one for one, _ in taken):.2f} s : {median(other for _, other in taken):.2f} s",
        at_least=True,
    )
    size = _checkpoint_bytes(settings.folder)
    note = f"{size / 1e6:.1f} MB with the optimizer's state, SD1.5, rank 16 on q and v"
    yield Claim("checkpoint ÷ one of the whole wrapped UNet", size / _SEED_SCRIPT, 0.02, "×", note)


def _seconds(turn: Callable[[], None]) -> float:
    started = process_time()
    turn()
    return process_time() - started


def _asked(base: str, photos: str, folder: str, **changes: Any) -> Asked:
    usual: dict[str, Any] = {
        "pretrained_model_name_or_path": base,
        "train_data_dir": photos,
        "output_dir": os.path.join(folder, "run"),
        "resolution": _SIDE,
        "buckets": False,
        "targets": "attn",
        "mixed_precision": "no",
        "device": "cpu",
    }
    return Asked(**{**usual, **changes})


def _prepared(base: str, photos: str, folder: str, **changes: Any) -> Prepared:
    from lora_convert_train.base import open_base

    asked = _asked(base, photos, folder, **changes)
    recipe = recipe_for(open_base(base), asked)
    return prepare(recipe, read_dataset(photos, instance_prompt="ab"), hardware_for(asked))


def _turns_of(prepared: Prepared) -> Callable[[], None]:
    """Steps as they are trained, after the first two epochs."""
    done = [2 * _IMAGES]

    def turn() -> None:
        first = done[0]
        for step in prepared.loop.steps(first, first + _STEPS):
            done[0] = step.step

    return turn


def _turns_of_example(prepared: Prepared) -> Callable[[], None]:
    """The work of a step of Diffusers' examples/text_to_image script for LoRAs, of the same model."""
    import torch

    loop, work = prepared.loop, prepared.work
    recipe: Recipe = loop.recipe
    recipe.load_encoders("vae", *recipe.text_parts, device=work.device, dtype=torch.float32)
    order = Order(tuple(frame.size for frame in work.frames), 1, 0)
    optimizer = torch.optim.AdamW(loop.parameters, lr=1e-4)
    done = [0]

    def turn() -> None:
        for step in range(done[0], done[0] + _STEPS):
            (number,) = order.batch(step)
            item = work.dataset.items[number]
            image = pixels(item.path, work.frames[number])[None]
            with torch.no_grad():
                latents = recipe.parts["vae"].encode(image).latent_dist.sample()
                latents = latents * recipe.base.config("vae")["scaling_factor"]
                context = recipe.encode_texts([item.caption])[0]["context"][None]
            noise = torch.randn_like(latents)
            level = torch.randint(0, 1000, (1,))
            noisy = recipe.scheduler.add_noise(latents, noise, level)  # type: ignore[attr-defined]
            predicted = loop.denoiser(noisy, level, context, return_dict=False)[0]
            loss = torch.nn.functional.mse_loss(predicted, noise)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(loop.parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        done[0] += _STEPS

    return turn


def _photos(folder: str) -> str:
    import numpy as np
    from PIL import Image

    place = os.path.join(folder, "photos")
    os.makedirs(place)
    draw = np.random.default_rng(0)
    for number in range(_IMAGES):
        values = draw.integers(0, 255, (_SIDE, _SIDE, 3), dtype=np.uint8)
        Image.fromarray(values).save(os.path.join(place, f"{number}.png"))
    return place


def _write_base(folder: str, divisor: int) -> str:
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", *letters, *(f"{x}</w>" for x in letters), "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[])
    tokenizer.model_max_length = 77
    text = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768 // divisor,
            intermediate_size=3072 // divisor,
            num_hidden_layers=12,
            num_attention_heads=12,
            vocab_size=len(words),
            bos_token_id=0,
            eos_token_id=len(words) - 1,
        )
    )
    vae = AutoencoderKL(
        block_out_channels=[n // divisor for n in (128, 256, 512, 512)],
        layers_per_block=2,
        latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        norm_num_groups=8,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=_unet(divisor),
        scheduler=DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def _unet(divisor: int) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=[n // divisor for n in (320, 640, 1280, 1280)],
        cross_attention_dim=768 // divisor,
        attention_head_dim=8,
        sample_size=64,
        norm_num_groups=8 if divisor > 1 else 32,
    )


def _checkpoint_bytes(folder: str) -> int:
    """Of a checkpoint after a step, of a UNet of the real size."""
    import torch

    import lora_convert as lc
    from lora_convert_train.adapters import add_adapter
    from lora_convert_train.optimizers import optimizer_for, scheduler_for

    asked = Asked()
    model = _unet(1).requires_grad_(False)
    names = [n for n, _ in model.named_modules() if n.endswith((".to_q", ".to_v"))]
    parameters = add_adapter(model, asked, names)
    for one in parameters:
        one.grad = torch.ones_like(one)
    optimizer = optimizer_for(parameters, asked)
    optimizer.step()
    place = os.path.join(folder, "checkpoint-1")
    lc.save_checkpoint(
        model, place, optimizer=optimizer, scheduler=scheduler_for(optimizer, asked), step=1
    )
    return sum(os.path.getsize(os.path.join(place, name)) for name in os.listdir(place))


if __name__ == "__main__":
    main(claims)
