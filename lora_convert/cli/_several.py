"""Several sources: a line for each, none of which stops the others, and the sum at the end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lora_convert.cli._errors import as_json, what_happened
from lora_convert.cli._output import Output, cut, printable
from lora_convert.errors import EXIT_DONE, EXIT_PARTIAL, LoraConvertError, OptionError


class Done(NamedTuple):
    """What came of one source."""

    status: str
    """The word it is counted under."""
    line: str
    brief: str
    """Instead of the line, where little is wanted."""
    fields: dict[str, Any]
    exit_code: int = EXIT_DONE


def report_each(
    out: Output,
    sources: Sequence[str],
    attempt: Callable[[str], Done],
    *,
    failed: str,
    failure: Callable[[str, str], str],
) -> int:
    """Attempt one source after another, and say of each in one line what came of it.

    A source that cannot be done counts as `failed`, and `failure` makes its line of its path and what
    happened. An option that no source could be done with ends all.
    """
    counts: Counter[str] = Counter()
    code = EXIT_DONE
    for source in sources:
        try:
            done = attempt(source)
        except OptionError:
            raise
        except (LoraConvertError, OSError, MemoryError) as error:
            counts[failed] += 1
            code = EXIT_PARTIAL
            _show_failure(out, source, error, failure(source, shortened(error, source)))
            continue
        counts[done.status] += 1
        code = EXIT_PARTIAL if done.exit_code else code
        _show(out, done)
    listed = ", ".join(f"{counts[status]} {status}" for status in sorted(counts, key=failed.__eq__))
    out.note(f"{len(sources)} files: {listed}")
    return code


def _show(out: Output, done: Done) -> None:
    if out.json:
        out.object(done.fields)
    else:
        out.line(printable(done.brief if out.quiet else done.line))


def _show_failure(out: Output, source: str, error: Exception, line: str) -> None:
    if out.json:
        out.object({"path": source, "error": as_json(error)})
    if out.json or out.quiet:
        out.problem(printable(f"failed: {source}: {shortened(error, source)}"))
    else:
        out.line(printable(line))


def shortened(error: Exception, source: str) -> str:
    """What happened, without the path that the line has already."""
    return cut(what_happened(error).removeprefix(f"{source}: "))


def shown_names(sources: Sequence[str]) -> dict[str, str]:
    """How sources are called in lines: by name, where all lie in one folder, else by path."""
    folders = {os.path.dirname(source) for source in sources}
    alike = len(folders) == 1 and all(map(os.path.basename, sources))
    return {source: os.path.basename(source) if alike else source for source in sources}
