"""Several commands in one process that takes the double for the Hub: the client reads its variables once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.hub.endpoint import Endpoint

_PROGRAM = """
import contextlib, io, json, sys, time
from lora_convert.cli import main
done = []
for arguments in json.loads(sys.stdin.read()):
    out, err, started = io.StringIO(), io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try: main(arguments)
        except SystemExit as ended: code = ended.code
        except BaseException as error: code = f"{type(error).__name__}: {error}"
    done.append([code, out.getvalue(), err.getvalue(), time.monotonic() - started])
print(json.dumps(done))
"""


class Done(NamedTuple):
    """What came of a command."""

    exit_code: int | str
    stdout: str
    stderr: str
    seconds: float

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


def commands(
    hub: Endpoint, home: Path, lines: Sequence[Sequence[str | Path]], **how: Any
) -> list[Done]:
    """Run command lines one after another; ``how`` as of `Endpoint.python`."""
    given = json.dumps([[str(word) for word in line] for line in lines])
    done = hub.python(["-c", _PROGRAM], home, input=given, **how)
    assert done.returncode == 0, done.stderr
    assert hub.token not in done.stdout + done.stderr
    return [Done(*one) for one in json.loads(done.stdout)]
