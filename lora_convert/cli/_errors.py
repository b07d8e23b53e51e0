"""Errors on their way to a person or a program."""

from __future__ import annotations

import json as json_module
import sys
from typing import Any

from lora_convert.cli._output import printable
from lora_convert.errors import EXIT_FAILED, LoraConvertError, called


def what_happened(error: Exception) -> str:
    """An error in one sentence."""
    if isinstance(error, LoraConvertError):
        return called(error.what)
    return str(error) or type(error).__name__


def as_json(error: Exception) -> dict[str, Any]:
    """An error's documented fields."""
    fields = {"type": type(error).__name__, "message": what_happened(error)}
    if isinstance(error, LoraConvertError) and error.why:
        fields["why"] = called(error.why)
    if isinstance(error, LoraConvertError) and error.hint:
        fields["next"] = called(error.hint)
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
    sys.stderr.write("error: " + "\n".join(map(printable, error.lines)) + "\n")
    return error.exit_code
