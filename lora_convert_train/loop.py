"""The training loop. It knows no model: a recipe gives the loss, and a place gives all that is drawn."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert_train.draws import Place
from lora_convert_train.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from lora_convert_train.order import Order
    from lora_convert_train.recipes import Batch, Recipe


class Step(NamedTuple):
    """A finished optimizer step."""

    step: int
    """From 1."""
    epoch: int
    """From 0."""
    loss: float
    grad_norm: float
    lr: float
    seconds: float
    images: int
    """Of all processes."""

    def as_line(self) -> dict[str, float]:
        """For the metrics."""
        return self._asdict()


class Loop(NamedTuple):
    """What steps are made with."""

    recipe: Recipe
    denoiser: Any
    """As accelerate prepared it."""
    parameters: list[torch.nn.Parameter]
    optimizer: Any
    scheduler: Any
    accelerator: Any
    order: Order
    batch: Callable[[tuple[int, ...], torch.Generator], Batch]
    """Of numbers of images and a generator."""

    def steps(self, first: int, last: int) -> Iterator[Step]:
        """Steps after `first`, to `last`. TrainingError where the loss is no number."""
        for step in range(first, last):
            yield self._step(step)

    def _step(self, step: int) -> Step:
        import torch

        settings, started = self.recipe.settings, time.monotonic()
        count, images = settings.gradient_accumulation_steps, 0
        total = torch.zeros((), device=self.accelerator.device)
        for micro in range(count):
            place = Place(settings.seed, step, micro, self.accelerator.process_index)
            if settings.lora_dropout:
                torch.manual_seed(place.number)  # dropout draws from the device's own numbers
            waits = micro < count - 1 and self.accelerator.num_processes > 1
            with self.accelerator.no_sync(self.denoiser) if waits else nullcontext():
                batch = self.batch(self.order.batch(self._position(place)), place.generator())
                with self.accelerator.autocast():
                    loss = self.recipe.losses(self.denoiser, batch).mean() / count
                self.accelerator.backward(loss)
            total += loss.detach()
            images += batch.size
        norm = self.accelerator.clip_grad_norm_(self.parameters, settings.max_grad_norm)
        value = float(self.accelerator.reduce(total, reduction="mean"))
        if not math.isfinite(value):
            raise TrainingError(
                f"step {step + 1}: the loss is {value}",
                why="a rate too high, a precision too narrow, or broken weights",
                hint="go on from the last checkpoint with a lower --learning-rate, or --mixed-precision bf16",
            )
        self.optimizer.step()
        rate = float(self.scheduler.get_last_lr()[0])
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        epoch = self.order.epoch_of(self._position(Place(settings.seed, step, 0, 0)))
        seconds = time.monotonic() - started
        images *= self.accelerator.num_processes
        return Step(step + 1, epoch, value, float(norm), rate, seconds, images)

    def _position(self, place: Place) -> int:
        count = self.recipe.settings.gradient_accumulation_steps
        processes: int = self.accelerator.num_processes
        return (place.step * count + place.micro) * processes + place.rank
