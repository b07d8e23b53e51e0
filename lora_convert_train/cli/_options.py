"""A flag for each setting, in both spellings; what is not given comes from a file, then from the defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from lora_convert_train.settings import FIELDS, TYPES, Settings, flag, read_settings


def setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All settings as options, and ``--config``. Values that are not given are None, or empty."""
    for field in reversed(FIELDS):
        command = _option(field.name, field.metadata, field.default)(command)
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False),
        help="TOML file of settings; flags count more.",
    )(command)


def _option(name: str, about: Any, default: Any) -> Callable[[Callable[..., Any]], Any]:
    kind, text = TYPES[name], flag(name)
    shown = (
        {} if default in ("", None) or kind == tuple[str, ...] else {"show_default": str(default)}
    )
    common: dict[str, Any] = {"help": about["help"], "default": None, **shown}
    if kind is bool:
        common |= {"show_default": "on" if default else "off"}
        return click.option(f"--{text}/--no-{text}", name, **common)
    if kind == tuple[str, ...]:
        return click.option(f"--{text.removesuffix('s')}", name, multiple=True, help=about["help"])
    if about["choices"]:
        return click.option(f"--{text}", name, type=click.Choice(about["choices"]), **common)
    types = {int: int, float: float, float | None: float}
    return click.option(f"--{text}", name, type=types.get(kind, str), **common)


def settings_of(config: str | None, given: dict[str, Any]) -> Settings:
    """Settings of a file and of flags, which count more. Errors as of `read_settings`."""
    found = read_settings(config) if config else {}
    found.update({name: value for name, value in given.items() if value not in (None, ())})
    settings = Settings(**found)
    settings.check()
    return settings
