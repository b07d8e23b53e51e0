"""Several runs at once, and runs that are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import lora_convert
from lora_convert.errors import DestinationExistsError
from tests.storage.making import peft_folder

if os.name == "nt":
    pytest.skip("processes are forked", allow_module_level=True)

from tests.storage.forking import together

ROUNDS = 12


def conversion(source: Path, to: str, out: Path) -> Callable[[], str]:
    def work() -> str:
        try:
            return lora_convert.convert(str(source), to, output=str(out)).status
        except DestinationExistsError:
            return "exists"

    return work


@pytest.mark.parametrize("to", ["kohya", "peft"])
def test_of_racing_writers_one_wins_and_none_is_lost(to: str, tmp_path: Path) -> None:
    """Two writers of one content and two of another, to one name."""
    sources = [peft_folder(tmp_path / f"a{alpha}", lora_alpha=alpha) for alpha in (4, 8)]
    for source in sources:
        lora_convert.convert(str(source), to, output=str(tmp_path / f"{source.name}-whole"))
    whole = [contents(tmp_path / f"{source.name}-whole") for source in sources]
    for number in range(ROUNDS):
        out = tmp_path / f"out{number}" / "o"
        out.parent.mkdir()
        said = Counter(together([conversion(source, to, out) for source in (*sources, *sources)]))
        assert said["written"] == 1
        assert set(said) <= {"written", "unchanged", "exists"}, said
        assert contents(out) in whole
        assert os.listdir(out.parent) == ["o"]


def test_racing_writers_that_may_replace_leave_one_whole_file(tmp_path: Path) -> None:
    sources = [peft_folder(tmp_path / f"a{alpha}", lora_alpha=alpha) for alpha in (4, 8, 16)]
    out = tmp_path / "out" / "o.safetensors"

    def replacing(source: Path) -> Callable[[], str]:
        return lambda: (
            lora_convert.convert(str(source), "kohya", output=str(out), force=True).status
        )

    for _ in range(ROUNDS):
        said = together([replacing(source) for source in sources])
        assert set(said) <= {"written", "unchanged"}, said
        assert os.listdir(out.parent) == ["o.safetensors"]
        assert lora_convert.inspect(str(out)).scales in ({"2": 4}, {"4": 4}, {"8": 4})


def test_killed_runs_leave_the_old_or_the_new_and_are_cleaned_up_after() -> None:
    command = [sys.executable, "-m", "tests.storage.kill_campaign", "--kills", "60", "--seed", "1"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_interrupted_runs_leave_nothing(tmp_path: Path) -> None:
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    source = peft_folder(tmp_path / "a")
    for to in ("kohya", "peft"):
        with lora_convert.plan_convert(str(source), to, output=str(tmp_path / "o")) as plan:
            with pytest.raises(KeyboardInterrupt):
                plan.apply(progress=interrupt)
            assert not contents(tmp_path / "o")
    assert not [path for path in tmp_path.rglob("*") if "lora-convert-tmp" in path.name]


def test_results_are_json_on_stdout_also_when_racing(tmp_path: Path) -> None:
    from tests.hostile.answering import answer

    source = peft_folder(tmp_path / "a")
    fields = json.loads(answer(["to-kohya", str(source), "--json"]).stdout)
    assert fields["status"] == "written"
    assert json.loads(answer(["to-kohya", str(source), "--json"]).stdout)["status"] == "unchanged"
