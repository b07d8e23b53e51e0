"""The command space: what it prints on a terminal, into a pipe and as JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lora_convert.operations.file_kinds import KINDS
from lora_convert.storage import atomic
from tests.hostile.answering import Answer, answer
from tests.operations.run_examples import EXAMPLES
from tests.operations.test_space import TINY
from tests.pipelines import tree, write_base, write_run
from tests.storage.test_disk_usage import du

posix = pytest.mark.skipif(os.name == "nt", reason="Windows tells sizes instead of blocks")


def space(*arguments: str | Path) -> Answer:
    return answer(["space", *map(str, arguments)])


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs and a folder that is none."""
    shutil.copytree(TINY, tmp_path / "outputs/tiny")
    EXAMPLES["kohya"].make(tmp_path / "outputs/kohya")
    (tmp_path / "outputs/data").mkdir()
    (tmp_path / "outputs/data/picture.png").write_bytes(bytes(300_000))
    return tmp_path / "outputs"


@posix
def test_a_bar_a_kind_and_a_tree(runs: Path) -> None:
    result = space(runs)
    assert (result.exit_code, result.stderr) == (0, "")
    first, kinds, uses = result.stdout.split("\n\n")
    assert first.startswith(f"{runs}: ")
    assert " files, " in first
    bars = [line.split("  ") for line in kinds.splitlines()]
    assert bars[0][0] == "frozen base copies"
    lengths = [line[-1].strip().count("█") for line in bars]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 30
    lines = uses.splitlines()
    assert lines[0].startswith(f"{runs}/tiny ")
    assert "frozen base copies" in lines[0]
    assert lines[1].startswith("  checkpoints/checkpoint-")
    assert [line for line in lines if line.startswith(f"{runs}/data ")]
    assert [line for line in lines if line.startswith("  style-000002.safetensors ")]
    assert "lora-convert" not in result.stdout


@posix
def test_a_plan(runs: Path) -> None:
    result = space(runs, "--plan")
    *_, plan = result.stdout.split("\n\n")
    first, lost = plan.splitlines()[:2]
    assert first.startswith(" 1. frees up to ")
    assert first.endswith(f": lora-convert compact {runs}/tiny")
    assert lost == "    lost: nothing: lora-convert restore rebuilds them, byte for byte"
    quiet = space(runs, "--plan", "-q").stdout.splitlines()
    assert quiet[0] == f"lora-convert compact {runs}/tiny"
    assert len(quiet) == plan.count("frees up to ")
    (runs.parent / "empty").mkdir()
    assert "plan: nothing here" in space(runs.parent / "empty", "--plan").stdout


@posix
def test_one_number(runs: Path) -> None:
    assert space(runs, "--quiet") == Answer(0, f"{du(runs)}\n", "")


@posix
def test_json_has_everything(runs: Path) -> None:
    found = json.loads(space(runs, "--json").stdout)
    assert found["bytes"] == du(runs) == sum(kind["bytes"] for kind in found["kinds"])
    uses = [*found["runs"], *found["elsewhere"]]
    assert found["bytes"] == sum(use["bytes"] for use in uses)
    assert all(kind["good_for"] and kind["lost"] for kind in found["kinds"])
    assert [run["tool"] for run in found["runs"]] == ["accelerate", "kohya"]
    assert {step["command"].split()[1] for step in found["plan"]} == {"compact", "prune"}


@posix
def test_on_a_terminal(runs: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    command = [sys.executable, "-m", "lora_convert", "space", str(runs), "--plan"]
    with subprocess.Popen(command, stdout=theirs, env=environment) as process:
        os.close(theirs)
        printed = b""
        try:
            while more := os.read(ours, 1 << 16):
                printed += more
        except OSError:  # Linux's way to say that all is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    text = printed.decode()
    assert "\x1b[36m" + 30 * "█" in text
    assert "├── " in text
    assert "lora-convert compact" in text


@posix
@pytest.mark.parametrize("arguments", [[], ["--json"], ["--plan"], ["-q"]])
def test_a_name_cannot_steer_the_terminal(arguments: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "a\nb\x1b[31m"
    EXAMPLES["diffusers"].make(folder / "run\x1b[2J")
    result = space(tmp_path, *arguments)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout


def test_the_page_has_a_row_for_every_kind() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/how-to/where-did-my-disk-go.md"
    text = page.read_text(encoding="utf-8")
    assert all(f"\n| {kind.title} |" in text for kind in KINDS.values())


def test_what_is_imported(runs: Path) -> None:
    """Nothing of rich or numpy; and the commands that need none of this do not load it."""
    code = (
        "import sys; from lora_convert.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    for arguments, loads in (
        (["space", str(runs / "kohya")], True),
        (["space", str(runs), "--json"], True),
        (["inspect", "-q", str(runs / "tiny/checkpoints/checkpoint-500")], False),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        modules = {*done.stderr.split()}
        assert not {"rich", "numpy", "torch", "hashlib", "sqlite3"} & modules
        assert ("lora_convert.operations.surveying" in modules) is loads
        assert not loads or "--json" in arguments or "lora_convert.formats" not in modules


def test_what_cannot_be_done(tmp_path: Path) -> None:
    for arguments, word in (
        (["none"], "no such file or folder"),
        (["file"], "is not a folder"),
        (["", "--base", "x"], "--estimate"),
        (["", "--estimate"], "holds no checkpoints"),
    ):
        (tmp_path / "file").write_text("")
        result = space(tmp_path / arguments[0], *arguments[1:])
        assert (result.exit_code, result.stdout) == (2, "")
        assert word in result.stderr


def test_estimates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = write_base(tmp_path / "base")
    run = write_run(tmp_path / "run", base)
    before = tree(tmp_path)
    [found] = map(json.loads, space(run, "--estimate", "--json").stdout.splitlines())
    assert found["needed"] == found["own"] + found["shared"]
    assert len(found["outputs"]) == 4
    shown = space(run, "--estimate")
    assert shown.exit_code == 0
    assert "shared by all" in shown.stdout
    assert shown.stdout.count("→ pipeline") == 4
    assert space(run, "--estimate", "-q").stdout == f"{found['needed']}\n"
    monkeypatch.setattr(atomic, "free_space", lambda folder: found["needed"] - 1)
    refused = space(run, "--estimate")
    assert (refused.exit_code, refused.stdout) == (1, shown.stdout)
    needed, free = f"{found['needed']:,}", f"{found['needed'] - 1:,}"
    assert f"error: {run}: needs {needed} bytes, {free} are free\n" in refused.stderr
    said = space(run, "--estimate", "--json")
    assert said.exit_code == 1
    assert json.loads(said.stdout)["error"]["type"] == "NotEnoughSpaceError"
    assert tree(tmp_path) == before
    monkeypatch.undo()
    assert answer(["batch", "-q", str(run)]).exit_code == 0
    done = space(run, "--estimate")
    assert "nothing is waiting" in done.stdout
    (run / "run.json").write_text("{}")
    assert "–" in space(run, "--estimate").stdout
