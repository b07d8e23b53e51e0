"""lora-convert scale and bake."""

from __future__ import annotations

from typing import Any

import click

from lora_convert.cli import _editing


@click.command()
@click.argument("source", type=click.Path())
@click.option(
    "--scale",
    "factor",
    type=float,
    required=True,
    metavar="X",
    help="How many times as strong, for example 0.8; negative turns its effect round.",
)
@_editing.writing
@_editing.reading
def scale(source: str, factor: float, **how: Any) -> int:
    """Change the strength of a LoRA for good: what was 0.8 before is 1 now.

    Alpha changes, no factor does, so it is exact and can be undone.
    """
    from lora_convert.operations.scale import plan_scale

    found = _editing.How(**how)
    return found.run(plan_scale(source, factor, reading=found.reading, writing=found.writing))


@click.command()
@click.argument("source", type=click.Path())
@_editing.writing
@_editing.reading
def bake(source: str, **how: Any) -> int:
    """Move alpha into the factors: the same LoRA, for tools that do not read alpha.

    Every up factor is multiplied by its module's scale; alpha is the rank then, which all tools take where
    nothing is said.
    """
    from lora_convert.operations.scale import plan_bake

    found = _editing.How(**how)
    return found.run(plan_bake(source, reading=found.reading, writing=found.writing))
