"""Bring a file to the disk while it is being checked."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

from lora_convert.storage.atomic import sync

if TYPE_CHECKING:
    from types import TracebackType


class Flushing:
    """Syncs a descriptor in the background; on leaving all is on the disk.

    The disk and the reader work side by side. An OSError of the disk is raised on leaving: a system
    tells it only once.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._thread = Thread(target=self._sync)
        self._error: OSError | None = None

    def _sync(self) -> None:
        try:
            sync(self._descriptor)
        except OSError as error:
            self._error = error

    def __enter__(self) -> Flushing:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.join()
        if kind is None and self._error:
            raise self._error
