"""Everything that steps are made with: encoded data, a denoiser with an adapter, an optimizer."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from math import lcm
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import OptionError
from lora_convert_train import state
from lora_convert_train.adapters import add_adapter, targeted, text_targets
from lora_convert_train.buckets import frames, too_small
from lora_convert_train.cache import Cache
from lora_convert_train.encoding import Work, batch_of
from lora_convert_train.errors import BaseModelError
from lora_convert_train.loop import Loop
from lora_convert_train.optimizers import optimizer_for, scheduler_for
from lora_convert_train.order import Order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert_train.dataset import Dataset
    from lora_convert_train.hardware import Hardware
    from lora_convert_train.recipes import Recipe


class Prepared(NamedTuple):
    """A training that can make its first step."""

    loop: Loop
    trained: state.Trained
    work: Work
    hardware: Hardware
    identity: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def trainable(self) -> int:
        """Numbers that are trained."""
        return sum(one.numel() for one in self.loop.parameters)


def work_for(recipe: Recipe, dataset: Dataset, hardware: Hardware) -> Work:
    """The images at their sizes, which the model can take."""
    settings = recipe.settings
    step = lcm(settings.bucket_step, recipe.multiple) if settings.buckets else recipe.multiple
    sizes = frames(dataset.items, settings.resolution, step, shapes=settings.buckets)
    return Work(recipe, dataset, sizes, hardware.device, hardware.dtype)


def prepare(recipe: Recipe, dataset: Dataset, hardware: Hardware) -> Prepared:
    """Encode what is not cached, then load the denoiser and put the adapter on it."""
    from accelerate import Accelerator, DistributedDataParallelKwargs

    settings = recipe.settings
    # the last block of some models leaves adapters without a gradient
    between = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(
        mixed_precision=hardware.precision,
        cpu=hardware.device.type == "cpu",
        kwargs_handlers=[between],
    )
    hardware = hardware._replace(device=accelerator.device)
    work = work_for(recipe, dataset, hardware)
    with accelerator.main_process_first():
        encoded = work.run(Cache())
    models = _models(recipe, hardware)
    names = targeted(models[recipe.denoiser], settings.targets, recipe.presets)
    parameters = add_adapter(models[recipe.denoiser], settings, names)
    for part, model in models.items():
        if part != recipe.denoiser:
            parameters += add_adapter(model, settings, text_targets(model))
            model.train()
    models[recipe.denoiser].train()
    optimizer = optimizer_for(parameters, settings)
    scheduler = scheduler_for(optimizer, settings)
    denoiser, optimizer = accelerator.prepare(models[recipe.denoiser], optimizer)
    sizes = tuple(frame.size for frame in work.frames)
    order = Order(sizes, settings.train_batch_size, settings.seed)
    loop = Loop(
        recipe,
        denoiser,
        parameters,
        optimizer,
        scheduler,
        accelerator,
        order,
        partial(batch_of, work, encoded),
    )
    ident = state.identity(settings, dataset.digest, accelerator.num_processes)
    trained = state.Trained(models, optimizer, scheduler, accelerator.scaler)
    return Prepared(loop, trained, work, hardware, ident, tuple(_notes(work)))


def _models(recipe: Recipe, hardware: Hardware) -> dict[str, Any]:
    """The denoiser, and text encoders that are trained; on the device, frozen."""
    settings = recipe.settings
    denoiser = _denoiser(recipe, hardware)
    if settings.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing()
    models = {recipe.denoiser: denoiser}
    if settings.train_text_encoder:
        if not recipe.trains_text:
            raise BaseModelError(
                f"the text encoders of {recipe.architecture} are not trained",
                hint="leave --train-text-encoder away",
            )
        recipe.load_encoders(*recipe.text_parts, device=hardware.device, dtype=hardware.dtype)
        encoders = (name for name in recipe.text_parts if name.startswith("text_encoder"))
        models |= {name: recipe.parts[name] for name in encoders}
    return models


def _denoiser(recipe: Recipe, hardware: Hardware) -> Any:
    import torch

    kind, dtype = recipe.settings.quantize, hardware.dtype
    options: dict[str, Any] = {}
    if kind in ("nf4", "int8"):
        from diffusers import BitsAndBytesConfig

        if find_spec("bitsandbytes") is None:
            hint = 'pip install "lora-convert[optimizers]"'
            raise OptionError("quantize", kind, why="bitsandbytes is not installed", hint=hint)
        options["quantization_config"] = (
            BitsAndBytesConfig(  # type: ignore[no-untyped-call]
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
            )
            if kind == "nf4"
            else BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]
        )
    model = recipe.base.load(recipe.denoiser, dtype, **options)
    if kind == "fp8":
        model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
    return model if options else model.to(hardware.device)


def _notes(work: Work) -> Iterator[str]:
    small = [
        item.path
        for item, frame in zip(work.dataset.items, work.frames, strict=True)
        if too_small(item, frame)
    ]
    if small:
        others = f" and {len(small) - 1} more" if len(small) > 1 else ""
        yield f"{small[0]}{others}: less than half as large as what is trained at"
