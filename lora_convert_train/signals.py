"""Being asked to stop: the step is finished and saved first; asked twice, at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")


class Interruption:
    """Which signal came, 0 while none did."""

    def __init__(self) -> None:
        self.signal = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal; the second is an interruption at once."""
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number


@contextlib.contextmanager
def listening() -> Iterator[Interruption]:
    """Take SIGINT and SIGTERM (on Windows SIGBREAK) as a wish to stop after the step."""
    interruption = Interruption()
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {}
    with contextlib.suppress(ValueError):  # signals are the main thread's
        before = {number: signal.signal(number, interruption.note) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
