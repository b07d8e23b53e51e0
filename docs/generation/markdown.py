"""Pages and tables of Markdown, and what every page checks of its own descriptions."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

NOTICE = "<!-- Written by docs/generate.py. Change the code, then run it. -->"


def page(title: str, *parts: str) -> str:
    """A page of Markdown."""
    text = "\n\n".join([f"# {title}", NOTICE, *(part for part in parts if part)]) + "\n"
    return re.sub(r"(?<!`)``(?!`)([^`\n]+)``(?!`)", r"`\1`", text)  # docstrings mark code with two


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def summary(documented: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ")


def check_all(what: str, described: Iterable[object], existing: Iterable[object]) -> None:
    """Stop where the code has something that no page describes."""
    missing = sorted(map(str, set(existing) - set(described)))
    if missing:
        sys.exit(f"docs/generation does not describe these {what}: {missing}")


def check_same(what: str, described: Iterable[object], existing: Iterable[object]) -> None:
    """Stop where the descriptions of a page are not those of the code."""
    difference = set(described) ^ set(existing)
    if difference:
        sys.exit(
            f"docs/generation describes other {what} than there are: {sorted(map(str, difference))}"
        )


def field_table(example: Mapping[str, object], meanings: Mapping[str, str]) -> str:
    """A table of the fields of an example, their types and meanings."""
    types = {int: "integer", list: "list", dict: "object", str: "string"}
    rows = []
    for name, meaning in meanings.items():
        kind = next(text for type_, text in types.items() if isinstance(example[name], type_))
        rows.append((f"`{name}`", f"{kind} or null" if "null" in meaning else kind, meaning))
    return table(("field", "type", "meaning"), rows)
