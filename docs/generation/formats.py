"""The page of formats: what converts to what, and how each spells its keys."""

from __future__ import annotations

import json
from pathlib import Path

from generation.markdown import page, table
from lora_convert.algorithms import ALGORITHMS
from lora_convert.algorithms import FOREIGN as FOREIGN_ALGORITHMS
from lora_convert.architectures import ARCHITECTURES
from lora_convert.formats import FORMATS, Ending, Format
from lora_convert.formats._foreign import FOREIGN as FOREIGN_FORMATS
from lora_convert.operations.catalogue import catalogue

MATRIX = Path(__file__).with_name("matrix.json")

PLACES = {
    "tensor": "beside each module, in a tensor",
    "header": "in the file's metadata",
    "config": "in `adapter_config.json`",
    "factors": "in the factors, which nothing scales",
}


def formats_page() -> str:
    """Formats, architectures, algorithms, the matrix, and how each format spells its keys."""
    found = catalogue()
    matrix = table(
        ("from \\ to", *found.written),
        [
            (f"**{origin}**", *(" ".join(row[to]) or "–" for to in found.written))
            for origin, row in found.matrix.items()
        ],
    )
    return page(
        "Formats, architectures, algorithms",
        "The same tables as `lora-convert formats`, and how each format spells its keys.",
        "## What converts to what\n\n" + matrix + "\n\n" + _run(),
        "## Algorithms\n\n" + _algorithms(),
        "## Architectures\n\n" + _architectures(),
        "## Formats\n\n"
        + table(
            ("name", "title", "scale", "usual output"),
            [
                (
                    f"[{name}](#{name})",
                    f.title,
                    PLACES[f.scale_in],
                    f"`{_usual_output(f)}`" if f.written else "read only",
                )
                for name, f in FORMATS.items()
            ],
        ),
        *(_format_section(format_) for format_ in FORMATS.values()),
        "## Known by name only\n\nThese are recognised, so that they are refused by name and never"
        " converted in part.\n\nAlgorithms:\n\n"
        + "\n".join(f"- {one.title}: {one.why}. {one.hint}" for one in FOREIGN_ALGORITHMS.values())
        + "\n\nFormats:\n\n"
        + "\n".join(f"- {foreign.title}" for foreign in FOREIGN_FORMATS),
    )


def _run() -> str:
    """What ``python -m tests.laws.matrix`` found when it was last run."""
    found = json.loads(MATRIX.read_text(encoding="utf-8"))
    pairs = found["algorithms"]
    algorithms = {name for row in pairs.values() for held in row.values() for name in held.split()}
    return (
        f"The last whole run of `python -m tests.laws.matrix` made {found['conversions']:,} conversions, each"
        f" of an adapter of every module: {', '.join(sorted(algorithms))} of"
        f" {len(found['architectures'].split())} architectures between {', '.join(pairs)}. What each output"
        " holds was read by its names, without the converter, and what that makes of a base weight was worked"
        " out by the algorithm's formula, in float64. The largest difference, over what the adapter changes,"
        f" was {found['largest_difference']:g}."
    )


def _algorithms() -> str:
    return table(
        ("name", "meaning", "tensors", "optional", "formats"),
        [
            (
                f"`{a.name}`",
                a.title,
                " or ".join(", ".join(form) for form in a.forms),
                ", ".join(a.may),
                " ".join(catalogue().holding[a.name]),
            )
            for a in ALGORITHMS.values()
        ],
    )


def _architectures() -> str:
    rows = []
    for architecture in ARCHITECTURES.values():
        components = [
            f"{c.name} ({sum(len(row.diffusers) for row in c.rows)})"
            for c in architecture.components
        ]
        fused = sum(len(row.diffusers) > 1 for c in architecture.components for row in c.rows)
        rows.append(
            (f"`{architecture.name}`", architecture.title, ", ".join(components), str(fused or "–"))
        )
    return (
        table(("name", "title", "components (kinds of modules)", "fused layers"), rows)
        + "\n\nA module is counted once, however often its block is repeated. Any other architecture converts"
        " between formats with dotted names, which need no table."
    )


def _usual_output(format_: Format) -> str:
    name = format_.file_name("NAME")
    return f"{name}/{format_.weights}" if format_.folder else name


def _format_section(format_: Format) -> str:
    parts = [f"### {format_.name}", f"{format_.title}. The scale is {PLACES[format_.scale_in]}."]
    parts.append(table(("component", "its keys begin with"), _prefixes(format_)))
    if format_.bare:
        parts.append(
            "Names without a component are read too; `--component` says which they are of."
        )
    rows = []
    for role, endings in _by_role(format_).items():
        names = [f"`{_spelled(ending)}`" for ending in endings]
        written = names[:1] if format_.writes(role) and format_.written else []
        others = names[len(written) :]
        rows.append((role, " ".join(written) or "–", " ".join(others) or "–"))
    parts.append(table(("tensor", "written", "also read"), rows))
    if any(ending.tail for ending in format_.endings):
        parts.append("After an arrow stands what the ending means for the module's name.")
    return "\n\n".join(parts)


def _prefixes(format_: Format) -> list[tuple[str, str]]:
    rows = [
        (component, " ".join(f"`{prefix}`" for prefix in prefixes))
        for component, prefixes in format_.prefixes.items()
    ]
    for variation in format_.variations:
        rows += [
            (
                f"{component} ({', '.join(variation.architectures)})",
                " ".join(f"`{prefix}`" for prefix in prefixes),
            )
            for component, prefixes in variation.prefixes.items()
        ]
    if format_.shared_prefixes:
        rows.append(("any", " ".join(f"`{prefix}`" for prefix in format_.shared_prefixes)))
    return rows


def _by_role(format_: Format) -> dict[str, list[Ending]]:
    found: dict[str, list[Ending]] = {}
    for ending in format_.endings:
        if not ending.foreign:
            found.setdefault(ending.role, []).append(ending)
    return found


def _spelled(ending: Ending) -> str:
    text = ending.text.format("NAME") if "{}" in ending.text else ending.text
    return f"{text} → {ending.tail}" if ending.tail else text
