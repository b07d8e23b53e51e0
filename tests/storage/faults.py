"""Calls of the system that fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FAILURES = ("ENOSPC", "EIO", "EDQUOT", "EFBIG", "EROFS", "EACCES")


@contextmanager
def failing(name: str, code: int, after: int) -> Iterator[list[int]]:
    """The call of `name` number `after`, and all later ones, fail; the list counts them."""
    real: Callable[..., Any] = getattr(os, name)
    count = [0]

    def fail_at(*how: Any, **more: Any) -> Any:
        if name == "open" and not how[1] & os.O_CREAT:
            return real(*how, **more)  # reading does not fail here
        count[0] += 1
        if count[0] > after:
            raise OSError(code, os.strerror(code))
        return real(*how, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, fail_at)
        yield count
