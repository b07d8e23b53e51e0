"""lora-convert combine."""

from __future__ import annotations

from typing import Any

import click

from lora_convert.cli import _editing
from lora_convert.cli.merge import added


@click.command()
@click.argument("loras", nargs=-1, required=True, metavar="LORA[:WEIGHT]...", type=click.Path())
@click.option(
    "--method",
    type=click.Choice(["linear", "concat", "svd", "ties", "dare"]),
    default="linear",
    show_default=True,
    help="linear and concat: the sum, exactly; svd: the sum, of a rank; ties, dare: what they make of it.",
)
@click.option(
    "--rank",
    type=int,
    metavar="R",
    help="Rank of every module. Default: with linear as high as it takes, else the highest of the sources.",
)
@click.option(
    "--density",
    type=float,
    default=0.5,
    show_default=True,
    help="Share of the elements of each weight change that ties and dare keep.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what dare drops.")
@_editing.writing
@_editing.reading
def combine(
    loras: tuple[str, ...], method: Any, rank: int | None, density: float, seed: int, **how: Any
) -> int:
    """Make one LoRA of several, of any formats and ranks: it acts like all of them together.

    A WEIGHT says how many times a LoRA is added, for example style.safetensors:0.8; without one, once.
    Weights
    multiply weight changes, as everywhere: two LoRAs at 0.5 are half of each.
    """
    from lora_convert.operations.combine import plan_combine
    from lora_convert.operations.summing import Combination

    found = _editing.How(**how)
    combination = Combination(method, rank, density, seed)
    return found.run(
        plan_combine(
            [added(text) for text in loras],
            combination,
            reading=found.reading,
            writing=found.writing,
        )
    )
