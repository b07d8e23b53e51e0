"""lora-convert ema."""

from __future__ import annotations

from typing import Any

import click

from lora_convert.cli import _editing


@click.command()
@click.argument("run", metavar="RUN", type=click.Path())
@click.option(
    "--decay",
    type=float,
    default=0.7,
    show_default=True,
    metavar="D",
    help="What is kept of the average at each checkpoint: the higher, the more the older ones count.",
)
@click.option("--last", type=int, metavar="N", help="Only of the last N checkpoints.")
@click.option(
    "--rank", type=int, metavar="R", help="Of every module. Default: the checkpoints' own."
)
@_editing.writing
@_editing.reading
def ema(run: str, decay: float, last: int | None, rank: int | None, **how: Any) -> int:
    """Average the checkpoints of a run after the fact, later ones counting more: smoother than the last.

    It is the average of weight changes, not of factors. Without --to, kohya's names are written.
    """
    from lora_convert.operations.ema import plan_ema

    found = _editing.How(**how)
    return found.run(
        plan_ema(run, decay, last=last, rank=rank, reading=found.reading, writing=found.writing)
    )
