"""The folders that an output lies in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from lora_convert.errors import OutputError
from lora_convert.storage.atomic import sync_folder


@contextlib.contextmanager
def made_folder(folder: str) -> Iterator[None]:
    """Make a folder and all it lies in, and bring their names to the disk; OutputError where that fails.

    Where the block fails, what was made is removed again, unless something was put there.
    """
    made: list[str] = []
    try:
        _make_folder(folder, made)
        yield
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        raise


def _make_folder(folder: str, made: list[str]) -> None:
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(os.path.abspath(folder))
    _make_folder(parent, made)
    try:
        try:
            os.mkdir(folder)
        except FileExistsError:
            if not os.path.isdir(folder):  # else another run was faster
                raise
        else:
            made.append(folder)
        sync_folder(parent)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
