"""lora-convert resize."""

from __future__ import annotations

from typing import Any

import click

from lora_convert.cli import _editing, _options


@click.command()
@click.argument("source", type=click.Path())
@click.option("--rank", type=int, metavar="R", help="No module keeps a higher rank.")
@click.option(
    "--energy",
    type=float,
    metavar="SHARE",
    help="Each module keeps the rank that has this share of its squared change, for example 0.95.",
)
@click.option(
    "--sum",
    type=float,
    metavar="SHARE",
    help="Each module keeps the rank that has this share of the sum of its singular values, for example 0.9.",
)
@click.option(
    "--ratio",
    type=float,
    metavar="X",
    help="Each module keeps singular values down to its largest over X, for example 20.",
)
@click.option(
    "--size",
    type=_options.Size(),
    help="The output's largest size: ranks go to the modules where they count most.",
)
@click.option(
    "--alpha",
    type=float,
    help="Store this alpha. Default: the one that keeps every module's scale.",
)
@_editing.writing
@_editing.reading
def resize(
    source: str,
    rank: int | None,
    energy: float | None,
    sum: float | None,
    ratio: float | None,
    size: int | None,
    alpha: float | None,
    **how: Any,
) -> int:
    """Lower the rank of a LoRA: a smaller file that acts nearly the same, and by how much it does not.

    Of each module the nearest weight change of the rank is kept, whatever scale and alpha. Several limits
    hold together. --dry-run says what would be lost.
    """
    from lora_convert.operations.resize import plan_resize
    from lora_convert.operations.resizing import Limits

    found = _editing.How(**how)
    limits = Limits(rank, energy, sum, ratio, size)
    return found.run(
        plan_resize(source, limits, alpha=alpha, reading=found.reading, writing=found.writing)
    )
