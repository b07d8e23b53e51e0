"""The error tree: drawn, typed, with exit codes."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path

import pytest

from lora_convert import errors
from lora_convert.errors import LoraConvertError

TYPES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, LoraConvertError)
}


@pytest.mark.parametrize("name", TYPES)
def test_every_error_is_drawn(name: str) -> None:
    assert name in str(errors.__doc__)


@pytest.mark.parametrize(
    "line", [line for line in str(errors.__doc__).splitlines() if re.search(r"exit \d", line)]
)
def test_the_drawing_tells_exit_codes_and_built_ins(line: str) -> None:
    name = re.search(r"(\w+Error)\b", line)
    code = re.search(r"exit (\d+)", line)
    assert name
    assert code
    kind = TYPES[name[1]]
    assert kind.exit_code == int(code[1])
    also = re.search(r"also (\w+)", line)
    if also:
        assert issubclass(kind, getattr(builtins, also[1]))


def test_a_message_says_what_why_and_what_next() -> None:
    error = LoraConvertError("it broke", why="it fell", hint="pick it up")
    assert str(error).splitlines() == ["it broke", "  why:  it fell", "  next: pick it up"]


def test_what_cannot_be_said_has_a_next_step_wherever_it_is_raised() -> None:
    package = Path(errors.__file__).parent
    silent = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"NotExpressibleError", "HubError"}
        and "hint" not in {keyword.arg for keyword in node.keywords}
    ]
    assert not silent
