"""lora-convert diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output
from lora_convert.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from lora_convert.operations.diff import AdapterDifference, ModuleDifference, Side


@click.command()
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@click.option(
    "--all", "whole", is_flag=True, help="List all modules, not only those that differ most."
)
@_options.scale_from
@_options.reading
@_options.output
def diff(first: str, second: str, whole: bool, as_json: bool, quiet: bool, **reading: Any) -> int:
    """Where and how much do two LoRAs differ? Of each module how far apart both weight changes are.

    Distance and cosine are of effective weight changes, whatever formats, ranks and scales. Exit code 0 where
    they act alike, 1 where they differ, as with verify.
    """
    from lora_convert.operations.diff import diff as run
    from lora_convert.operations.reading import Reading

    out = Output(json=as_json, quiet=quiet)
    found = run(first, second, reading=Reading(**reading))
    if as_json:
        out.object({"first": first, "second": second, **found.as_json()})
    elif quiet:
        out.line("equal" if found.proof.equal else "different")
    else:
        _show(out, found, whole=whole)
    return EXIT_DONE if found.proof.equal else EXIT_FAILED


_MOST = 10
"""Modules that are listed unless all are asked for."""


def _show(out: Output, found: AdapterDifference, *, whole: bool) -> None:
    for name, (one, other) in found.headers.items():
        out.line(f"{name}: {_short(one)} against {_short(other)}")
    order = sorted(found.modules, key=_apart, reverse=True)
    shown = order if whole else order[:_MOST]
    rows = [
        (
            module.module,
            "–" if module.distance is None else f"{module.distance:.1e}",
            "–" if module.cosine is None else f"{module.cosine:.4f}",
            *(_cell(side) for side in (module.first, module.second)),
        )
        for module in shown
    ]
    out.table(rows, header=("module", "distance", "cosine", "first", "second"))
    if len(shown) < len(order):
        out.note(
            f"note: the {len(shown)} of {len(order)} modules that differ most; --all lists all"
        )
    different = found.proof.differing
    alike = "they act alike" if not different else f"{different} act differently"
    out.line(f"{len(order)} modules: {alike}")


def _apart(module: ModuleDifference) -> float:
    """What is shown: the last bits of a distance differ between machines."""
    return float("inf") if module.distance is None else float(f"{module.distance:.1e}")


def _cell(side: Side | None) -> str:
    if side is None:
        return "not there"
    rank = "" if side.rank is None else f" {side.used}/{side.rank}"
    norm = "" if side.norm is None else f", ‖ΔW‖ {side.norm:.2e}"
    return side.algorithm + rank + norm


def _short(value: object) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
