"""lora-convert select and drop."""

from __future__ import annotations

from typing import Any

import click

from lora_convert.cli import _editing

_modules = click.option(
    "--modules",
    multiple=True,
    required=True,
    metavar="PATTERN",
    help="A component, or modules and all below them; * stands for anything. May be given several times.",
)


@click.command()
@click.argument("source", type=click.Path())
@_modules
@_editing.writing
@_editing.reading
def select(source: str, modules: tuple[str, ...], **how: Any) -> int:
    """Write a LoRA with only some of its modules: one component, one block, its attention.

    Names are those of the file, or Diffusers'.
    """
    return _run(source, modules, drop=False, **how)


@click.command()
@click.argument("source", type=click.Path())
@_modules
@_editing.writing
@_editing.reading
def drop(source: str, modules: tuple[str, ...], **how: Any) -> int:
    """Write a LoRA without some of its modules, for example without its text encoders.

    Names are those of the file, or Diffusers'.
    """
    return _run(source, modules, drop=True, **how)


def _run(source: str, modules: tuple[str, ...], *, drop: bool, **how: Any) -> int:
    from lora_convert.operations.select import plan_select

    found = _editing.How(**how)
    return found.run(
        plan_select(source, modules, drop=drop, reading=found.reading, writing=found.writing)
    )
