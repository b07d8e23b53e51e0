"""Images drawn with the LoRA, at fixed prompts and seeds; they change no number of the training."""

from __future__ import annotations

import glob
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lora_convert_train.base import Base
    from lora_convert_train.hardware import Hardware
    from lora_convert_train.run_folder import RunFolder
    from lora_convert_train.settings import Settings

_EDGE = 8
_LABEL = 16


class Sampler(NamedTuple):
    """What samples are drawn with, beside the models that are trained."""

    run: RunFolder
    base: Base
    settings: Settings
    hardware: Hardware

    def draw(self, models: Mapping[str, Any], step: int) -> list[str]:
        """Draw every prompt with `models`, by component, in place of the base's; paths of the images.

        The folder of a step gets an image a prompt, and a sheet of each prompt over all steps beside it.
        """
        from PIL.PngImagePlugin import PngInfo

        folder = os.path.join(self.run.samples, f"step-{step:06d}")
        os.makedirs(folder, exist_ok=True)
        paths = []
        with self._pipeline(models) as pipeline:
            for number, prompt in enumerate(self.settings.sample_prompts):
                seed = self.settings.seed + number
                image = self._image(pipeline, prompt, seed)
                told = PngInfo()
                told.add_text("parameters", f"{prompt}\nSeed: {seed}, step: {step}")
                path = os.path.join(folder, f"{number}-seed{seed}.png")
                image.save(path, pnginfo=told)
                paths.append(path)
                contact_sheet(self.run.samples, number)
        return paths

    @contextmanager
    def _pipeline(self, models: Mapping[str, Any]) -> Iterator[Any]:
        """The base's pipeline around models, which are as they were when it is let go."""
        from diffusers import DiffusionPipeline

        training = {name: model.training for name, model in models.items()}
        unneeded = {"safety_checker": None} if "safety_checker" in self.base.index else {}
        for model in models.values():
            model.eval()
        try:
            loaded = DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
                self.base.folder,
                torch_dtype=self.hardware.dtype,
                variant=self.base.variant or None,
                **unneeded,
                **models,
            )
            loaded.set_progress_bar_config(disable=True)
            yield loaded.to(self.hardware.device)
        finally:
            for name, model in models.items():
                model.train(training[name])

    def _image(self, pipeline: Any, prompt: str, seed: int) -> Any:
        import torch

        device = self.hardware.device.type
        side = self.settings.resolution
        mixed = self.hardware.precision != "no"
        with (
            torch.no_grad(),
            torch.autocast(device, dtype=self.hardware.dtype, enabled=mixed),
            torch.random.fork_rng(),
        ):
            drawn = pipeline(
                prompt,
                height=side,
                width=side,
                num_inference_steps=self.settings.sample_steps,
                generator=torch.Generator().manual_seed(seed),
            )
        return drawn.images[0]


def contact_sheet(samples: str, number: int) -> str:
    """All images of a prompt, one a step, in ``prompt-N.png``; its path."""
    from PIL import Image, ImageDraw

    pattern = os.path.join(glob.escape(samples), "step-*", f"{number}-seed*.png")
    images = []
    for path in sorted(glob.glob(pattern)):
        step = int(os.path.basename(os.path.dirname(path)).removeprefix("step-"))
        with Image.open(path) as opened:
            images.append((step, opened.convert("RGB")))
    width = max(image.width for _, image in images) + _EDGE
    height = max(image.height for _, image in images)
    sheet = Image.new("RGB", (width * len(images) + _EDGE, height + 2 * _EDGE + _LABEL), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (step, image) in enumerate(images):
        sheet.paste(image, (_EDGE + column * width, _EDGE))
        draw.text((_EDGE + column * width, height + _EDGE + 2), f"step {step}", fill="black")
    path = os.path.join(samples, f"prompt-{number}.png")
    sheet.save(path)
    return path
