"""The generated reference is that of the code, and the code says enough for it."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import get_args

import click
import pytest

from lora_convert import errors
from lora_convert.cli import app
from lora_convert.planning import LossKind
from lora_convert_train.cli import app as train
from tests.docs.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "generate_reference", ROOT / "docs" / "generate.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_what_the_code_says() -> None:
    pages = _generator().pages()
    assert {path.name for path in REFERENCE.glob("*.md")} == set(pages)
    stale = [
        name
        for name, text in pages.items()
        if (REFERENCE / name).read_text(encoding="utf-8") != text
    ]
    assert not stale, "run: python docs/generate.py"


def test_the_indexes_of_names_are_what_the_tables_say() -> None:
    for path, text in _generator().indexes().items():
        assert path.read_text(encoding="utf-8") == text, "run: python docs/generate.py"


def all_commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command of both programs, with its full name."""
    for name, command in (("lora-convert", app), ("lora-convert-train", train)):
        yield from _commands(name, command, _context(name, command, None))


def _commands(
    name: str, command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield name, command, context
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None, inner
            yield from _commands(f"{name} {inner}", found, _context(inner, found, context))


def _context(name: str, command: click.Command, parent: click.Context | None) -> click.Context:
    return click.Context(command, parent, name, **command.context_settings)


COMMANDS = {name: (command, context) for name, command, context in all_commands()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help_and_is_in_the_reference(name: str) -> None:
    command, context = COMMANDS[name]
    page = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    section = page.split(f"## {name}\n")[1].split("\n## ")[0]
    assert command.help and inspect.cleandoc(command.help) in section
    for option in command.get_params(context):
        if isinstance(option, click.Option):
            assert option.help, option
            assert all(spelling in section for spelling in option.opts), option


def test_tables_written_by_hand_are_complete() -> None:
    readme = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("## Exit codes")[1].split("\n## ")[0]
    )
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)} == codes
    refused = (ROOT / "docs" / "how-to" / "refused.md").read_text(encoding="utf-8")
    assert all(f"\n| {kind} |" in refused for kind in get_args(LossKind))
