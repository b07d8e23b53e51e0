"""Where commands put what they have to say: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from lora_convert.errors import called

_REPORT_AFTER = 1.0
"""Seconds of silence before progress is shown."""
_REPORT_EVERY = 0.2
_LONGEST = 200
"""Characters of a message that has to share its line."""


def printable(text: str) -> str:
    r"""`text` with control characters and ends of lines escaped.

    Names in files must not steer a terminal, nor begin a line of their own.

    >>> printable("a\x1b[31m\nwritten: b")
    'a\\x1b[31m\\nwritten: b'
    """
    return (
        "".join(
            ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii")
            for ch in called(text)
        )
        .encode("utf-8", "backslashreplace")
        .decode()
    )


def cut(text: str) -> str:
    """`text`, no longer than can be read at once; its end, which says what is wrong, is kept."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"


class Output:
    """One command's output, in the mode its options ask for."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet

    def object(self, fields: dict[str, Any]) -> None:
        """One JSON object on one line."""
        import json

        sys.stdout.write(json.dumps(_called(fields)) + "\n")

    def line(self, text: str = "") -> None:
        """A line of the result."""
        _write(sys.stdout, printable(text) + "\n")

    def text(self, text: str) -> None:
        """Lines of the result, as they are but for what would steer a terminal."""
        for line in text.split("\n"):
            self.line(line)

    def note(self, text: str) -> None:
        """A line for people, beside the result."""
        if not self.quiet:
            self.problem(text)

    def problem(self, text: str) -> None:
        """A line for people that no option silences, after what was said before it."""
        sys.stdout.flush()
        _write(sys.stderr, printable(text) + "\n")

    def table(self, rows: Iterable[tuple[str, ...]], *, header: tuple[str, ...] = ()) -> None:
        """Aligned columns: by rich on a terminal, as plain text elsewhere."""
        listed = [*rows]
        if not sys.stdout.isatty():
            self._plain_table([header, *listed] if header else listed)
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(
            *header, box=None, show_header=bool(header), pad_edge=False, header_style="bold"
        )
        if not header:
            table.add_column(style="bold", no_wrap=True)
            table.add_column(overflow="fold")
        for row in listed:
            table.add_row(*(Text(printable(cell)) for cell in row))
        Console(highlight=False).print(table)

    def _plain_table(self, rows: list[tuple[str, ...]]) -> None:
        cells = [[printable(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            aligned = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.line("  ".join(aligned).rstrip())

    def progress(self, label: str, total: int) -> Callable[[int], None]:
        """A function to be told of bytes done; shows a line on a terminal once it takes long."""
        if self.quiet or not sys.stderr.isatty() or not total:
            return lambda done: None
        started = time.monotonic()
        state = {"done": 0, "shown": started + _REPORT_AFTER}

        def advance(done: int) -> None:
            state["done"] += done
            now = time.monotonic()
            finished = state["done"] >= total
            if now >= state["shown"]:
                state["shown"] = now + _REPORT_EVERY
                percent = 100 * state["done"] // total
                end = "\r\x1b[K" if finished else ""
                sys.stderr.write(f"\r{label}: {percent} % of {size(total)}{end}")
                sys.stderr.flush()

        return advance


def _called(value: Any) -> Any:
    """A value of JSON in whose texts what is on the Hub has its address."""
    if isinstance(value, str):
        return called(value)
    if isinstance(value, dict):
        return {key: _called(one) for key, one in value.items()}
    return [_called(one) for one in value] if isinstance(value, (list, tuple)) else value


def _write(stream: Any, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))


def size(count: float) -> str:
    """A number of bytes, for people.

    >>> size(6_417_552)
    '6.4 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
