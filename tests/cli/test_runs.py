"""The commands about runs, and addresses in the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.answering import Answer, answer
from tests.operations.run_examples import EXAMPLES, metrics, touch
from tests.writing import peft_folder


def run(*arguments: str | Path) -> Answer:
    return answer([str(argument) for argument in arguments])


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A run whose checkpoints are real adapters; that of step 1000 has the lowest loss."""
    folder = tmp_path / "my-run"
    for rank, step in enumerate((500, 1000, 1500), 2):
        peft_folder(folder / f"checkpoints/checkpoint-{step}", rank=rank)
    peft_folder(folder / "lora_weights", rank=8)
    metrics(folder, {500: 0.3, 1000: 0.1, 1500: 0.2})
    return folder


def rank_of(source: str) -> int:
    found = json.loads(run("inspect", "--json", source).stdout)
    assert found["path"] == source
    [rank] = found["ranks"]
    return int(rank)


def test_addresses_in_inspect(trained: Path) -> None:
    ranks = {
        name: rank_of(f"{trained}@{name}") for name in ("500", "1000", "best", "last", "final")
    }
    assert ranks == {"500": 2, "1000": 3, "best": 3, "last": 4, "final": 8}


def test_addresses_in_conversions_and_verify(trained: Path, tmp_path: Path) -> None:
    written = run("to-kohya", "-q", f"{trained}@500")
    place = trained / "checkpoints/checkpoint-500/adapter_model_kohya.safetensors"
    assert (written.exit_code, written.stdout) == (0, f"{place}\n")
    assert run("verify", f"{trained}@500", place).exit_code == 0
    assert run("verify", f"{trained}@last", f"{trained}@500").exit_code == 1
    to = tmp_path / "out"
    several = run("to-kohya", "-q", f"{trained}@500", f"{trained}@best", "-o", to)
    assert [Path(line).name for line in several.stdout.splitlines()] == [
        "checkpoint-500_kohya.safetensors",
        "checkpoint-1000_kohya.safetensors",
    ]
    listed = run("inspect", f"{trained}@500", f"{trained}@501")
    assert listed.exit_code == 3
    assert "has no checkpoint of step 501" in listed.stdout


def test_an_address_that_names_nothing_is_exit_2(trained: Path) -> None:
    for command in (["inspect"], ["to-kohya"], ["convert", "--to", "peft"], ["verify", trained]):
        result = run(*command, f"{trained}@1300")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "next: the nearest are 500, 1000, 1500" in result.stderr
    assert run("inspect", f"{trained}@none").exit_code == 2
    (trained / "metrics.jsonl").unlink()
    result = run("inspect", f"{trained}@best")
    assert result.exit_code == 2
    assert "no loss is recorded" in result.stderr


def test_a_path_with_an_at_sign_is_a_path(trained: Path) -> None:
    real = trained.rename(trained.with_name("my-run@500"))
    assert run("inspect", "-q", real / "lora_weights").exit_code == 0
    assert rank_of(f"{real}@500") == 2


def test_nothing_is_imported_for_addresses_until_one_is_given(trained: Path) -> None:
    import lora_convert.cli

    code = (
        "import sys; from lora_convert.cli import main\n"
        "try: main(['inspect', '-q', sys.argv[1]])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    for path, some in ((f"{trained}/lora_weights", False), (f"{trained}@500", True)):
        done = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
        )
        modules = done.stderr.split()
        assert ("lora_convert.operations.runs" in modules) is some
        assert not {"sqlite3", "lora_convert.operations.losses"} & {*modules}
    assert lora_convert.cli


def test_list_shows_every_run_below(trained: Path, tmp_path: Path) -> None:
    for tool in EXAMPLES:
        EXAMPLES[tool].make(tmp_path / "others" / tool)
    os.utime(trained / "checkpoints/checkpoint-1500/adapter_model.safetensors", (1.7e9, 1.7e9))
    result = run("runs", "list", tmp_path)
    assert (result.exit_code, result.stderr) == (0, "10 runs\n")
    header, first, *rest = result.stdout.splitlines()
    assert header.split() == ["run", "tool", "checkpoints", "last", "date", "size"]
    assert first.split()[:4] == [str(trained), "accelerate", "3", "1500"]
    assert len(rest) == 9
    objects = [
        json.loads(line) for line in run("runs", "list", "--json", tmp_path).stdout.splitlines()
    ]
    assert objects[0] == {
        "run": str(trained),
        "tool": "accelerate",
        "count": 3,
        "last_step": 1500,
        "last_epoch": None,
        "modified": "2023-11-14T22:13:20+00:00",
        "size": sum(file.stat().st_size for file in trained.rglob("*") if file.is_file()),
    }
    assert {found["tool"] for found in objects} == {*EXAMPLES}
    quiet = run("runs", "list", "-q", tmp_path)
    assert quiet.stdout.splitlines() == [found["run"] for found in objects]
    assert not quiet.stderr


def test_list_of_the_current_folder(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.parent)
    assert run("runs", "list", "-q").stdout == "my-run\n"
    monkeypatch.chdir(trained / "lora_weights")
    nothing = run("runs", "list")
    assert nothing == Answer(0, "", "0 runs\n")


def test_show_is_one_run(trained: Path) -> None:
    run("to-kohya", f"{trained}@500")
    (trained / "checkpoint_pipelines/checkpoint-1000").mkdir(parents=True)
    result = run("runs", "show", trained)
    assert result.exit_code == 0
    head, rows = result.stdout.split("\n\n")
    assert f"losses      {trained}/metrics.jsonl" in head
    assert "base model  not said" in head
    lines = [line.split() for line in rows.splitlines()]
    assert lines[0] == ["step", "date", "loss", "size", "converted", "to"]
    assert [line[0] for line in lines[1:]] == ["500", "1000", "1500"]
    assert lines[2][2:4] == ["0.1", "(best)"]
    assert [line[-1] for line in lines[1:]] == ["kohya", "pipeline", "–"]
    found = json.loads(run("runs", "show", "--json", trained).stdout)
    assert found["best"] == found["checkpoints"][1]["path"]
    assert found["size"] == sum(found["sizes"].values())
    assert [one["loss"] for one in found["checkpoints"]] == [0.3, 0.1, 0.2]
    quiet = run("runs", "show", "-q", trained).stdout.splitlines()
    assert quiet == [one["path"] for one in found["checkpoints"]]


@pytest.mark.parametrize("tool", EXAMPLES)
def test_show_shows_every_tools_run(tool: str, tmp_path: Path) -> None:
    EXAMPLES[tool].make(tmp_path)
    result = run("runs", "show", tmp_path)
    assert result.exit_code == 0
    assert len(result.stdout.split("\n\n")[1].splitlines()) == 1 + len(EXAMPLES[tool].counts)


def test_show_goes_on_without_losses_that_cannot_be_read(trained: Path) -> None:
    (trained / "metrics.jsonl").write_text("{\n{}\n")
    result = run("runs", "show", trained)
    assert result.exit_code == 0
    assert "note: losses cannot be read: " in result.stderr
    assert "(best)" not in result.stdout
    assert run("inspect", f"{trained}@best").exit_code == 1


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    result = run("runs", "show", tmp_path)
    assert result.exit_code == 2
    assert "holds no checkpoints of a run" in result.stderr
    assert run("runs", "show", tmp_path / "none").exit_code == 2
    assert run("runs", "list", tmp_path / "none").exit_code == 2
    assert json.loads(run("runs", "show", "--json", tmp_path).stdout)["error"]["type"] == (
        "CheckpointNotFoundError"
    )
    for name in ("a", "b"):
        touch(tmp_path / f"{name}-000001.safetensors")
    several = run("runs", "show", tmp_path)
    assert several.exit_code == 4
    assert f"{tmp_path}/a, {tmp_path}/b" in several.stderr
    assert run("runs", "show", tmp_path / "a").exit_code == 0
    assert run("runs", "shwo", tmp_path).exit_code == 2


@pytest.mark.skipif(os.name == "nt", reason="names with control characters need POSIX")
def test_a_name_cannot_make_a_line_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "a\nb\x1b[31m"
    EXAMPLES["kohya"].make(folder)
    for arguments in (["list", tmp_path], ["list", "-q", tmp_path], ["show", folder]):
        result = run("runs", *arguments)
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
        assert "\\n" in result.stdout


def test_the_page_has_a_row_for_every_tool() -> None:
    page = Path(__file__).resolve().parents[2] / "docs/how-to/runs.md"
    table = page.read_text(encoding="utf-8").split("## Whose runs")[1]
    assert table.count("\n| ") == 1 + 1 + len(EXAMPLES)
