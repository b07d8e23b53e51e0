"""Errors on their way to a person or a program."""

from __future__ import annotations

import json as json_module
import sys
from typing import Any

from lora_convert.cli._output import printable
from lora_convert.errors import EXIT_FAILED, LoraConvertError


def as_json(error: LoraConvertError) -> dict[str, Any]:
    """An error's documented fields."""
    fields = {"type": type(error).__name__, "message": error.what}
    if error.why:
        fields["why"] = error.why
    if error.hint:
        fields["next"] = error.hint
    return fields


def report(error: Exception, *, json: bool) -> int:
    """Say what went wrong; returns the exit code."""
    if not isinstance(error, LoraConvertError):
        if isinstance(error, (OSError, MemoryError)):
            sys.stderr.write(printable(f"error: {error}") + "\n")
            return EXIT_FAILED
        raise error
    if json:
        sys.stdout.write(json_module.dumps({"error": as_json(error)}) + "\n")
    sys.stderr.write(printable(f"error: {error}") + "\n")
    return error.exit_code
