"""Questions before what cannot be undone, or moves much."""

from __future__ import annotations

import sys

import click

yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def agreed(question: str, *, yes: bool) -> bool:
    """Whether the user wants it; a usage error where there is nobody to ask, and `yes` was not given."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("nothing was done: there is nobody to ask; --yes does not ask")
    return click.confirm(question, err=True)
