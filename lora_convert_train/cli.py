"""lora-convert-train."""

from __future__ import annotations

import click

from lora_convert_train import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lora-convert-train")
def main() -> None:
    """Train small, exact, resumable LoRA runs. There is no command yet: training comes in a later version."""
