"""Bring a file to the disk while it is still being written."""

from __future__ import annotations

import os
from threading import Thread
from typing import TYPE_CHECKING

from lora_convert.storage.atomic import sync

if TYPE_CHECKING:
    from types import TracebackType

FLUSH_EVERY = 1 << 25
"""Bytes between two flushes; a smaller file is synced once, at the end."""


class Flushing:
    """Flushes a descriptor in the background as bytes are written; on leaving all is on the disk.

    An OSError of the disk is raised on leaving, wherever it happened: a system tells it only once.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = 0
        self._thread: Thread | None = None
        self._errors: list[OSError] = []

    def wrote(self, count: int) -> None:
        """Say that `count` more bytes have been written."""
        self._pending += count
        if self._pending >= FLUSH_EVERY and not (self._thread and self._thread.is_alive()):
            self._pending = 0
            self._thread = Thread(target=self._flush)
            self._thread.start()

    def _flush(self) -> None:
        try:
            getattr(os, "fdatasync", os.fsync)(self._descriptor)
        except OSError as error:
            self._errors.append(error)

    def __enter__(self) -> Flushing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread:
            self._thread.join()
        if kind is None:
            for failed in self._errors:
                raise failed
            sync(self._descriptor)
