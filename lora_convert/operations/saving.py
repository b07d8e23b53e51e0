"""Writing while a training goes on: in threads, in the order of the calls, what fails kept to be raised."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from threading import Lock, Thread, current_thread

_ORDER = Lock()
_LAST: dict[str, Thread] = {}
"""By path, the last save in the background that has not ended."""


class Saving:
    """A checkpoint on its way to the disk, from `save_checkpoint`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._thread: Thread | None = None
        self._failed: list[BaseException] = []
        self._heard = False

    def wait(self) -> str:
        """Wait until it is on the disk; returns its path. What failed is raised here, at every call."""
        if self._thread:
            self._thread.join()
        self._heard = True
        if self._failed:
            raise self._failed[0]
        return self.path

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._thread is None or not self._thread.is_alive()

    def begin(self, write: Callable[[], None], *, background: bool) -> None:
        """Write, after what is still written to the same path; without `background` raise what fails."""
        with _ORDER:
            before = _LAST.get(self.path)
            if background:
                # no daemon: the process does not end before it is written
                given = (write, before, self.path, self._failed)
                self._thread = Thread(target=_run, args=given, name="lora-convert save")
                _LAST[self.path] = self._thread
                self._thread.start()
        if not background:
            if before:
                before.join()
            write()

    def __del__(self) -> None:
        """Say that it failed where nobody has waited for it."""
        if self._failed and not self._heard:
            warnings.warn(
                f"{self.path} was not saved: {self._failed[0]}", RuntimeWarning, stacklevel=1
            )


def _run(
    write: Callable[[], None], before: Thread | None, path: str, failed: list[BaseException]
) -> None:
    if before:
        before.join()
    try:
        write()
    except BaseException as error:  # noqa: BLE001 - wait raises it
        failed.append(error)
    with _ORDER:
        if _LAST.get(path) is current_thread():
            del _LAST[path]
