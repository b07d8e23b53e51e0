"""A live bar on a terminal, plain lines elsewhere; both on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from lora_convert_train.hardware import is_first_process
from lora_convert_train.training import Watcher

if TYPE_CHECKING:
    from lora_convert_train.loop import Step

_SMOOTH = 0.95
_SECONDS = 10
"""Between plain lines."""
_LOW_RATE = 5e-5


def watcher(*, rate: float) -> Watcher:
    """What shows a training to people; of processes that train together one does."""
    if not is_first_process():
        return Watcher()
    shown = _Bar() if sys.stderr.isatty() else _Lines()
    if rate < _LOW_RATE:
        shown.note(f"learning rate {rate:g} is low for a LoRA: 1e-4 is usual")
    return shown


def hush_libraries() -> None:
    """Leave the libraries' own bars and remarks away; errors are raised all the same."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


class _Lines(Watcher):
    """A line now and then."""

    def __init__(self) -> None:
        self.first = self.last = 0
        self.loss = 0.0
        self._weight = 0.0
        self._told = self._began = time.monotonic()

    def note(self, text: str) -> None:
        click.echo(f"note: {text}", err=True)

    def begins(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._began = time.monotonic()

    def stepped(self, step: Step) -> None:
        self.loss = _SMOOTH * self.loss + (1 - _SMOOTH) * step.loss
        self._weight = _SMOOTH * self._weight + 1 - _SMOOTH
        if time.monotonic() - self._told > _SECONDS or step.step == self.last:
            self._told = time.monotonic()
            click.echo(f"step {step.step}/{self.last}  {self.described(step)}", err=True)

    def described(self, step: Step) -> str:
        """Loss, rate, speed, time left and memory."""
        speed = (step.step - self.first) / max(time.monotonic() - self._began, 1e-9)
        left = (self.last - step.step) / speed
        parts = [f"loss {self.loss / self._weight:.4f}", f"lr {step.lr:.2e}", f"{speed:.2f} it/s"]
        parts += [f"{int(left) // 60}:{int(left) % 60:02d} left", *_memory()]
        return "  ".join(parts)


class _Bar(_Lines):
    """A bar that is drawn again with each step."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._task: Any = None

    def begins(self, first: int, last: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        super().begins(first, last)
        columns = (TextColumn("step {task.completed}/{task.total}"), BarColumn())
        self._bar = Progress(
            *columns, TextColumn("{task.description}"), console=Console(stderr=True)
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=last, completed=first)

    def stepped(self, step: Step) -> None:
        self.loss = _SMOOTH * self.loss + (1 - _SMOOTH) * step.loss
        self._weight = _SMOOTH * self._weight + 1 - _SMOOTH
        self._bar.update(self._task, completed=step.step, description=self.described(step))

    def ends(self) -> None:
        if self._bar:
            self._bar.stop()


def _memory() -> list[str]:
    """Peak memory: the GPU's, else the process's where the system tells it."""
    import torch

    if torch.cuda.is_available():
        return [f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"]
    try:
        import resource
    except ImportError:  # Windows
        return []
    unit = 1 if sys.platform == "darwin" else 1024
    return [f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9:.1f} GB"]
