"""Pages of the documentation, and how their blocks are run.

A page's blocks are run in order in one scratch folder that holds the files of ``workbench``:

- in a ``bash`` block every line that begins with ``lora-convert`` is run, with or without a
  ``pip install … &&`` before it; one that shall fail says so in a comment: ``# exit 4``. A block with
  pipes, loops, patterns or variables is given to bash as a whole, and the comment ends its last line;
- ``python`` blocks of a page share their names;
- a ``text`` block directly after either holds the output, to the letter but for durations and ids;
- ``powershell`` blocks are read, not run: their options must exist.

``python -m tests.docs.refresh`` writes the outputs anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")))

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_OUTPUT = re.compile(r"\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INSTALL = re.compile(r"^pip install .+? && (?=lora-convert)")
_EXIT = re.compile(r"\s+# exit (\d+).*$")
_SHELL = re.compile(r"[|<>;$&*]|^(for|while|if|eval) ", re.MULTILINE)
_SECONDS = re.compile(r"\b\d+\.\d\d? s\b")
_HUB = re.compile(r"http://127\.0\.0\.1:\d+")
_COMMIT = re.compile(r"commit/[0-9a-f]{40}")
_ID = re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b")
_WORST = re.compile(r"(largest relative difference \S+) \([^)]*\)")
_PLACED = re.compile(r"^files: .*$|; the disk takes [\d.]+ \w+|; [\d.]+ \w+ free$", re.MULTILINE)
_BLOCKS = re.compile(r" +(<?[\d.]+ ([kMGT]?B|%)|[█▏]+)")
"""What files take on a disk, which depends on its blocks, and shares and bars of it."""
HOME = "/home/you"
"""Stands for the scratch folder in outputs."""


class Block(NamedTuple):
    """A fenced block of a page, and the output that stands after it."""

    line: int
    language: str
    text: str
    output: str | None
    span: tuple[int, int]
    """Where the output's text stands in the page."""


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    found = []
    for match in _BLOCK.finditer(page):
        after = _OUTPUT.match(page, match.end())
        span = after.span(1) if after else (match.end(), match.end())
        line = page.count("\n", 0, match.start()) + 1
        text = textwrap.dedent(match[3])
        found.append(Block(line, match[2], text, after[1] if after else None, span))
    return found


class Command(NamedTuple):
    """A line that calls lora-convert, or its trainer."""

    program: str
    arguments: list[str]
    exit_code: int


def commands(block: Block) -> list[Command]:
    """The calls of lora-convert in a block of commands."""
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        text = _INSTALL.sub("", line)
        expected = _EXIT.search(text)
        if text.startswith(("lora-convert ", "lora-convert-train ")):
            program, *arguments = shlex.split(_EXIT.sub("", text), comments=True)
            found.append(Command(program, arguments, int(expected[1]) if expected else 0))
    return found


def needs_shell(block: Block) -> bool:
    """Whether a block is more than plain commands."""
    plain = re.sub(r"#.*$|^pip install .*$", "", block.text, flags=re.MULTILINE)
    return "lora-convert" in block.text and bool(_SHELL.search(plain))


def run(block: Block, names: dict[str, object]) -> str:
    """Run a block in the current folder; returns what it printed, AssertionError where it failed."""
    if block.language == "python":
        return _captured(lambda: exec(compile(block.text, f"line {block.line}", "exec"), names))
    if needs_shell(block):
        return _run_shell(block)
    return "".join(_run_command(command, block) for command in commands(block))


def _run_command(command: Command, block: Block) -> str:
    from lora_convert.cli import main
    from lora_convert_train.cli import main as train

    call_program = train if command.program == "lora-convert-train" else main
    code: list[object] = []

    def call() -> None:
        try:
            call_program(command.arguments)
        except SystemExit as done:
            code.append(done.code or 0)

    printed = _captured(call)
    told = f"line {block.line}: {command.program} {shlex.join(command.arguments)}"
    assert code == [command.exit_code], f"{told}: exit {code}, not {command.exit_code}\n{printed}"
    return printed


def _run_shell(block: Block) -> str:
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-uo", "pipefail", "-c", block.text],
        env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    expected = _EXIT.search(block.text.rstrip())
    told = f"line {block.line}: exit {done.returncode}\n{done.stdout}"
    assert done.returncode == (int(expected[1]) if expected else 0), told
    return done.stdout


def _captured(call) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        call()
    return printed.getvalue()


def normal(printed: str, folder: str) -> str:
    """An output as pages show it: durations, ids, the scratch folder and trailing blanks made alike."""
    text = _SECONDS.sub("0.01 s", printed.replace(folder, HOME))
    text = _ID.sub("20261118-091500-3f9a0c", text)
    text = _HUB.sub("https://huggingface.co", _COMMIT.sub("commit/2a5b1ce2", text))
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines()).rstrip("\n") + "\n"


def comparable(output: str) -> str:
    """An output without what may differ by machine.

    Of equally large differences any may be the largest, and disks differ in what they can share, and
    in the size of their blocks.
    """
    if "█" in output or "frees up to" in output:
        output = _BLOCKS.sub("", output)
    return _PLACED.sub("", _WORST.sub(r"\1", output))
