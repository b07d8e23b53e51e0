"""lora-convert extract."""

from __future__ import annotations

from typing import Any

import click

from lora_convert.cli import _editing, _options


@click.command()
@click.argument("finetuned", type=click.Path())
@click.argument("base", type=click.Path())
@click.option("--rank", type=int, required=True, metavar="R", help="Of every module.")
@click.option(
    "--fast",
    is_flag=True,
    help="Sample the differences instead of decomposing them: several times as fast, nearly as near.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what --fast samples.")
@_options.architecture
@_options.component
@_editing.writing
def extract(finetuned: str, base: str, rank: int, fast: bool, seed: int, **how: Any) -> int:
    """Make a LoRA of a fine-tuned model: of each module what of FINETUNED minus BASE a rank can hold.

    Both are models in one file in their authors' names, pipelines, or weights of one component. What a LoRA
    cannot hold (norms, biases, embeddings) is reported as a loss. Without --to, kohya's names are written.
    """
    from lora_convert.operations.extract import Extraction, plan_extract

    found = _editing.How(**how)
    extraction = Extraction(rank, fast, seed, found.architecture, found.component)
    return found.run(plan_extract(finetuned, base, extraction, writing=found.writing))
