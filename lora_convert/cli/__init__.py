"""The command line: arguments, one call, one render."""

from __future__ import annotations

from lora_convert.cli._app import app, main

__all__ = ["app", "main"]
