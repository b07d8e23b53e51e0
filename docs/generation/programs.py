"""The page of programs: what each reads, is given, and gets wrong, with where that is from."""

from __future__ import annotations

from generation.markdown import page, table
from lora_convert.applications import APPLICATIONS, Application
from lora_convert.architectures import ARCHITECTURES
from lora_convert.formats import FORMATS
from lora_convert.operations.catalogue import catalogue

_ALL = tuple(ARCHITECTURES)


def programs_page() -> str:
    """Which program reads which format, and of each program what it gets wrong."""
    found = catalogue()
    return page(
        "What programs read",
        "The tables that `check` and `convert --for` go by. What is said of Diffusers and PEFT is tested"
        " against them; of the others each fact has the file of that program that it was read from."
        " Programs change, and a table is as old as its sources.",
        "## Formats\n\nOf how many architectures a program reads a format.\n\n"
        + table(
            ("", *found.formats),
            [(f"[{name}](#{_anchor(name)})", *row) for name, *row in found.reading_rows()],
        ),
        *(_section(application) for application in APPLICATIONS.values()),
    )


def _anchor(name: str) -> str:
    return name.replace(".", "")


def _section(application: Application) -> str:
    models = tuple(filter(application.knows, _ALL))
    given: dict[str, list[str]] = {}
    for name in models:
        given.setdefault(application.format_for(name), []).append(name)
    read = application.formats_read(_ALL)
    parts = [
        f"## {application.name}\n\n{application.title}. From: {application.source}.",
        table(
            ("format", "read of", "`convert --for` writes it for"),
            [
                (name, _named(read.get(name, ()), models), _named(given.get(name, ()), models))
                for name in FORMATS
                if name in read or name in given
            ],
        ),
    ]
    if application.gaps:
        rows = ((gap.effect, gap.what, gap.source) for gap in application.gaps)
        parts.append(table(("effect", "on what", "from"), rows))
    return "\n\n".join(parts)


def _named(names: tuple[str, ...] | list[str], models: tuple[str, ...]) -> str:
    return "all its models" if len(names) == len(models) else " ".join(names) or "–"
