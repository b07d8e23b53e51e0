"""TensorBoard's event files, where TensorBoard is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_convert_train.loop import Step

_SHOWN = ("loss", "lr", "grad_norm")


@contextmanager
def event_writer(run: str) -> Iterator[Callable[[Step], None]]:
    """What writes a step's numbers to ``tb`` in a run; nothing where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield lambda step: None
        return
    writer = SummaryWriter(os.path.join(run, "tb"))

    def write(step: Step) -> None:
        for name in _SHOWN:
            writer.add_scalar(name, getattr(step, name), step.step)

    try:
        yield write
    finally:
        writer.close()
