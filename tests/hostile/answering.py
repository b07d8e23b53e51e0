"""What the command line answers."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import pytest

from lora_convert.cli import main


class Answer(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


def answer(arguments: Sequence[str], *, process: bool = False) -> Answer:
    """Run the command line, in this process or its own; a traceback fails the test."""
    if process:
        command = [sys.executable, "-m", "lora_convert", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return Answer(int(ended.value.code or 0), out.getvalue(), err.getvalue())
