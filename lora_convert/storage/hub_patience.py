"""Calls to the Hub that fail for a moment are made again, for a time that has an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lora_convert.storage.hub_errors import AnsweredError, chain_of

Value = TypeVar("Value")

PATIENCE = 30.0
"""Seconds in which what fails for a while is tried again."""
_WAITS = (1.0, 2.0, 4.0)
"""Seconds before each further attempt, where the Hub does not ask for another time."""
_FOR_A_WHILE = (408, 429, 500, 502, 503, 504)
"""Statuses that may be others in a moment (huggingface_hub 2.4, utils/_http.py)."""
_CONNECTION = {"ConnectError", "ConnectTimeout", "ReadError", "ReadTimeout", "RemoteProtocolError"}
"""Names of httpx's errors that a second attempt may not have."""
_LOST: list[float] = []
"""When connections were given up: for a while no other is waited for."""
_LOST_FOR = 30.0


def patiently(attempt: Callable[[], Value], *, watched: bool = False) -> Value:
    """Attempt again what fails for a while, for `PATIENCE` seconds at most.

    `watched` is for calls of the client, which else has another patience, of minutes.
    """
    waits = iter(_WAITS)
    deadline: float | None = None
    while True:
        try:
            if not watched:
                return attempt()
            with _watched():
                return attempt()
        except Exception as error:
            now = time.monotonic()
            deadline = deadline or now + PATIENCE
            wait = _wait(error, next(waits, None))
            if wait is None or now + wait > deadline:
                raise
            time.sleep(wait)


def _wait(error: Exception, usual: float | None) -> float | None:
    """Seconds to wait after an error; None where waiting does not help, or was of no help."""
    causes = [*chain_of(error)]
    answered = next((one for one in causes if isinstance(one, AnsweredError)), None)
    if answered:
        response = answered.response
        status, after = response.status_code, response.headers.get("Retry-After", "")
        if status not in _FOR_A_WHILE or usual is None:
            return None
        return float(after) if after.isdigit() else usual
    lost = bool(_LOST) and time.monotonic() - _LOST[-1] < _LOST_FOR
    if lost or not any(type(one).__name__ in _CONNECTION for one in causes):
        return None
    if usual == _WAITS[-1]:
        _LOST.append(time.monotonic())
        return None
    return usual


@contextmanager
def _watched() -> Iterator[None]:
    """Let no call of the client wait for what fails: that is done here."""
    from huggingface_hub import get_session

    def look(response: Any) -> None:
        if response.status_code in _FOR_A_WHILE:
            raise AnsweredError(response)

    hooks = get_session().event_hooks["response"]
    hooks.append(look)
    try:
        yield
    finally:
        hooks.remove(look)
