"""ai-toolkit's ``loss_log.db``: an SQLite table ``metrics`` of step, key and value.

As its ``UILogger`` writes it (toolkit/logging_aitk.py, November 2026).
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from lora_convert.errors import CorruptCheckpointError
from lora_convert.storage.files import SourceFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_QUERY = "SELECT step, value_real FROM metrics WHERE key = ? ORDER BY step LIMIT ?"
_INSTRUCTIONS = 100_000_000
"""Of SQLite's machine, a few seconds: a million steps take a tenth of that."""
_LOGS = ("-wal",)
"""What SQLite has written, but not yet moved into the file."""


def read_metric(path: str, key: str, most: int) -> list[tuple[int, float]]:
    """A metric's first steps and their values, up to `most`; nothing where it was not recorded.

    The file is not changed: it is read without locks, and where its writer left a log beside it, in a
    copy with that log.
    """
    SourceFile(path).close()  # refuses what is no regular file
    try:
        if any(os.path.exists(path + log) for log in _LOGS):
            return _in_a_copy(path, (key, most))
        return _read(path, (key, most))
    except _errors() as error:
        raise CorruptCheckpointError(path, f"is no loss log of ai-toolkit: {error}") from error


def _errors() -> type[Exception]:
    import sqlite3

    return sqlite3.Error


def _in_a_copy(path: str, values: tuple[str, int]) -> list[tuple[int, float]]:
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "metrics.db")
        shutil.copyfile(path, copy)
        for log in _LOGS:
            shutil.copyfile(path + log, copy + log)
        return _read(copy, values, unchanging=False)


def _read(
    path: str, values: tuple[str, int], *, unchanging: bool = True
) -> list[tuple[int, float]]:
    import sqlite3
    from urllib.parse import quote

    options = "mode=ro&immutable=1" if unchanging else "mode=rw"
    uri = f"file:{quote(os.path.abspath(path))}?{options}"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.set_progress_handler(lambda: 1, _INSTRUCTIONS)
        return [*_numbers(connection.execute(_QUERY, values))]


def _numbers(rows: sqlite3.Cursor) -> Iterator[tuple[int, float]]:
    for step, value in rows:
        if isinstance(step, int) and isinstance(value, float):
            yield step, value
