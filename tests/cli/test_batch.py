"""The command batch: what is done, what is skipped, what is said, and what ends it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file

from lora_convert.operations import watching
from lora_convert.storage import linking
from lora_convert.storage.hashes import is_hash
from lora_convert.storage.locks import LOCK, held
from tests.hostile.answering import Answer, answer
from tests.operations.run_examples import metrics
from tests.pipelines import (
    contents,
    lora,
    tree,
    write_adapter,
    write_base,
    write_checkpoint,
    write_run,
)


def batch(*arguments: str | Path) -> Answer:
    return answer(["batch", *map(str, arguments)])


def said(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in batch("--json", *arguments).stdout.splitlines()]


def statuses(*arguments: str | Path) -> dict[str, str]:
    return {line["item"].replace(" → pipeline", ""): line["status"] for line in said(*arguments)}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "base")


@pytest.fixture
def run(tmp_path: Path, base: Path) -> Path:
    return write_run(tmp_path / "my-run", base)


def pipelines(run: Path) -> set[str]:
    folder = run / "checkpoint_pipelines"
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def document(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "checkpoint_metadata.json").read_text())
    assert isinstance(found, dict)
    return found


def test_all_checkpoints_and_then_nothing(run: Path, base: Path) -> None:
    first = batch(run)
    assert first.exit_code == 0
    assert "Converted 4, Skipped 0, Failed 0, Total 4" in first.stderr
    assert f"base {base}, which the run names" in first.stderr
    assert first.stdout.splitlines()[0].startswith("converted: checkpoint-500 → pipeline: ")
    assert pipelines(run) == {"checkpoint-500", "checkpoint-1000", "checkpoint-1500"}
    before = tree(run)
    second = batch(run)
    assert (second.exit_code, tree(run)) == (0, before)
    assert "Converted 0, Skipped 4, Failed 0, Total 4" in second.stderr
    said = document(run / "checkpoint_pipelines/checkpoint-500")
    assert said["display_name"] == "My Run (Step 500)"
    assert (said["step"], said["loss"], said["base"]["from"]) == (500, 0.2, "the run")
    assert document(run / "final_pipeline")["display_name"] == "My Run"


def test_what_is_shared_lies_once_and_is_never_the_bases(run: Path, base: Path) -> None:
    originals = tree(base)
    batch(run)
    assert tree(base) == originals
    assert all(path.stat().st_nlink == 1 for path in base.rglob("*") if path.is_file())
    store = run / "checkpoint_pipelines/.shared"
    entries = [path for path in store.iterdir() if is_hash(path.name)]
    assert len(entries) == 3
    for entry in entries:
        assert entry.stat().st_nlink == 1 + 4
        assert not entry.stat().st_mode & 0o222
    sizes = {path.stat().st_ino: path.stat().st_size for path in run.rglob("*") if path.is_file()}
    full = sum(path.stat().st_size for path in base.rglob("*") if path.is_file())
    assert sum(sizes.values()) < 1.1 * full


def _checkpoint(run: Path, base: Path) -> None:
    write_checkpoint(run, 500, seed=77)


def _base(run: Path, base: Path) -> None:
    save_file(
        {"rest.weight": 2 * contents_of(base / "vae")},
        base / "vae/diffusion_pytorch_model.safetensors",
    )


def contents_of(folder: Path) -> Any:
    from safetensors.numpy import load_file

    return load_file(folder / "diffusion_pytorch_model.safetensors")["rest.weight"]


def _gone(run: Path, base: Path) -> None:
    shutil.rmtree(run / "checkpoint_pipelines/checkpoint-500")


def _a_file_gone(run: Path, base: Path) -> None:
    (run / "checkpoint_pipelines/checkpoint-500/vae/config.json").unlink()


def _cut(run: Path, base: Path) -> None:
    shard = next((run / "checkpoint_pipelines/checkpoint-500").glob("unet/*00002-of*"))
    shard.write_bytes(shard.read_bytes()[:-4])


def _by_another_hand(run: Path, base: Path) -> None:
    at = run / "checkpoint_pipelines/checkpoint-500"
    made = answer(["pipeline", f"{run}@500", "-o", str(at), "--scale", "0.25", "--force"])
    assert made.exit_code == 0


@pytest.mark.parametrize(
    ("change", "redone"),
    [(_checkpoint, 1), (_base, 4), (_gone, 1), (_a_file_gone, 1), (_cut, 1), (_by_another_hand, 1)],
)
def test_what_is_not_as_it_was_is_made_again(
    change: Callable[[Path, Path], None], redone: int, tmp_path: Path, base: Path
) -> None:
    copy = shutil.copytree(base, tmp_path / "base")
    run = write_run(tmp_path / "run", copy)
    batch(run)
    change(run, copy)
    found = statuses(run)
    assert [*found.values()].count("converted") == redone
    assert found["checkpoint-500"] == "converted"
    whole = write_run(tmp_path / "other/run", copy)
    if change is _checkpoint:
        write_checkpoint(whole, 500, seed=77)
    batch(whole)
    for one, other in zip(
        *(sorted(top.rglob("*.safetensors")) for top in (run, whole)), strict=True
    ):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    "options", [["--scale", "0.5"], ["--dtype", "fp16"], ["--layout", "full"], ["--link", "copy"]]
)
def test_other_options_make_other_pipelines(options: list[str], run: Path) -> None:
    only = ["--steps", "500", str(run)]
    batch(*only)
    assert statuses(*options, *only) == {
        "checkpoint-500": "skipped" if "--link" in options else "converted"
    }
    assert statuses(*options, *only) == {"checkpoint-500": "skipped"}
    assert statuses(*only) == {"checkpoint-500": "skipped" if "--link" in options else "converted"}


def test_a_touched_checkpoint_is_read_and_left(run: Path) -> None:
    batch("--steps", "500", run)
    made = tree(run / "checkpoint_pipelines/checkpoint-500")
    os.utime(run / "checkpoints/checkpoint-500/adapter_model.safetensors")
    assert statuses("--steps", "500", run) == {"checkpoint-500": "skipped"}
    assert tree(run / "checkpoint_pipelines/checkpoint-500") == made


def test_force_makes_all_again(run: Path) -> None:
    batch("--steps", "500", run)
    shard = next((run / "checkpoint_pipelines/checkpoint-500").glob("unet/*00002-of*"))
    good = shard.read_bytes()
    shard.write_bytes(good[:-4] + b"\1\2\3\4")
    assert statuses("--steps", "500", run) == {"checkpoint-500": "skipped"}
    assert statuses("--steps", "500", "--force", run) == {"checkpoint-500": "converted"}
    assert shard.read_bytes() == good


def test_what_others_put_in_a_pipeline_is_not_removed(run: Path) -> None:
    batch("--steps", "500", run)
    mine = run / "checkpoint_pipelines/checkpoint-500/mine.png"
    mine.write_bytes(b"picture")
    for more in (["--scale", "0.5"], ["--scale", "0.5", "--force"]):
        answered = batch("--steps", "500", *more, run)
        assert answered.exit_code == 3
        assert "mine.png" in json.dumps(said("--steps", "500", *more, run))
        assert mine.read_bytes() == b"picture"


def test_a_pipeline_of_another_tool_is_not_replaced(run: Path) -> None:
    theirs = run / "checkpoint_pipelines/checkpoint-500"
    theirs.mkdir(parents=True)
    (theirs / "checkpoint_metadata.json").write_text('{"step": 500}')
    before = tree(theirs)
    [line] = said("--steps", "500", run)
    assert (line["status"], line["error"]["type"]) == ("failed", "DestinationExistsError")
    assert tree(theirs) == before


def test_dry_run_writes_nothing_at_all(run: Path) -> None:
    before = tree(run)
    for more in ([], ["--json"], ["--to", "kohya"], ["-q"]):
        assert batch("--dry-run", *more, run).exit_code == 0
    assert tree(run) == before
    assert not (run / "checkpoint_pipelines").exists()
    assert {line["status"] for line in said("--dry-run", run)} == {"planned"}
    batch(run)
    before = tree(run)
    assert {line["status"] for line in said("--dry-run", run)} == {"skipped"}
    assert batch("--dry-run", "--watch", run).exit_code == 2
    assert tree(run) == before


@pytest.mark.parametrize(
    ("selector", "made"),
    [
        (["--best", "1"], {"checkpoint-1000"}),
        (["--steps", "500,1500"], {"checkpoint-500", "checkpoint-1500"}),
        (["--every", "1000"], {"checkpoint-1000"}),
        (["--last", "2"], {"checkpoint-1000", "checkpoint-1500"}),
    ],
)
def test_selectors(selector: list[str], made: set[str], run: Path) -> None:
    assert batch(*selector, run).exit_code == 0
    assert pipelines(run) == made
    assert not (run / "final_pipeline").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--best", "1", "--last", "1"],
        ["--steps", "500", "--every", "500"],
        ["--best", "0"],
        ["--last", "-1"],
        ["--every", "0"],
        ["--steps", ""],
        ["--steps", "500,"],
        ["--steps", "one"],
        ["--steps", "501"],
        ["--every", "7000"],
        ["--to", "nothing"],
        ["--link", "nothing"],
        ["--scale", "nan"],
        ["--scale", "inf"],
        ["--scale", "0"],
        ["--jobs", "0"],
        ["--jobs", "2", "--executor", "tcp://127.0.0.1:1"],
        ["--executor", "tcp://127.0.0.1:1"],
        ["--executor", "nonsense"],
        ["--executor", "http://127.0.0.1:1"],
    ],
)
def test_options_that_cannot_be_are_exit_2(
    options: list[str], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_convert.operations import executing

    if "--executor" in options:
        pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr(executing, "_TIMEOUT", 1)
    before, started = tree(run), time.monotonic()
    answered = batch(*options, run)
    assert (answered.exit_code, answered.stdout) == (2, "")
    assert (tree(run), time.monotonic() - started < 20) == (before, True)


def test_the_best_need_a_loss(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    answered = batch("--best", "1", run)
    assert answered.exit_code == 2
    assert "no loss is recorded" in answered.stderr


def test_a_broken_log_is_no_obstacle(run: Path) -> None:
    (run / "metrics.jsonl").write_text("{broken")
    assert batch("--last", "1", run).exit_code == 0
    assert document(run / "checkpoint_pipelines/checkpoint-1500")["loss"] is None


def test_lora_files_too(run: Path) -> None:
    lines = said("--to", "kohya", "--to", "peft", "--to", "kohya", "--last", "1", run)
    assert [line["status"] for line in lines] == ["converted"] * 3
    made = {path.name for path in (run / "checkpoint_loras").iterdir()}
    assert made == {"checkpoint-1500_kohya.safetensors", "checkpoint-1500_peft"}
    assert {line["status"] for line in said("--to", "kohya", "--last", "1", run)} == {"skipped"}
    write_checkpoint(run, 1500, seed=5)
    assert {line["status"] for line in said("--to", "kohya", "--last", "1", run)} == {"converted"}


def test_lora_files_follow_their_checkpoint_and_are_replaced_only_as_ours(run: Path) -> None:
    assert batch("--to", "kohya", "--last", "1", run).exit_code == 0
    [file] = (run / "checkpoint_loras").iterdir()
    before = file.read_bytes()
    write_checkpoint(run, 1500, seed=98)
    assert batch("--to", "kohya", "--last", "1", run).exit_code == 0
    after = file.read_bytes()
    assert after != before
    file.write_bytes(before)  # another's now
    write_checkpoint(run, 1500, seed=99)
    [_, refused] = said("--to", "kohya", "--last", "1", run)
    assert refused["error"]["next"] == "--force replaces it"
    assert file.read_bytes() == before
    assert batch("--to", "kohya", "--last", "1", "--force", run).exit_code == 0
    cut = file.read_bytes()
    file.write_bytes(cut[:100])
    assert batch("--to", "kohya", "--last", "1", "--force", run).exit_code == 0
    assert file.read_bytes() == cut


def test_lora_files_alone_need_no_base(run: Path) -> None:
    (run / "run.json").unlink()
    assert batch("--to", "kohya", run).exit_code == 0
    assert not [*run.glob("checkpoint_pipelines/check*")]
    answered = batch("--last", "1", run)
    assert answered.exit_code == 3
    assert "next: give it with --base" in answered.stdout


def test_a_failure_stops_nothing_and_is_tried_again(run: Path) -> None:
    broken = run / "checkpoints/checkpoint-1000/adapter_model.safetensors"
    good = broken.read_bytes()
    broken.write_bytes(good[:-8])
    first = batch(run)
    assert first.exit_code == 3
    assert "Converted 3, Skipped 0, Failed 1, Total 4" in first.stderr
    assert "failed: checkpoint-1000 → pipeline" in first.stdout
    assert pipelines(run) == {"checkpoint-500", "checkpoint-1500"}
    again = said(run)
    [failed] = [line for line in again if line["status"] == "failed"]
    assert failed["error"]["type"] == "CorruptCheckpointError"
    broken.write_bytes(good)
    assert statuses(run) == {
        "checkpoint-500": "skipped",
        "checkpoint-1500": "skipped",
        "final": "skipped",
        "checkpoint-1000": "converted",
    }


def test_several_runs_and_one_of_them_twice(run: Path, base: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", base, (100,))
    (tmp_path / "alias").symlink_to(run)
    answered = batch(run, other, f"{run}/../my-run", tmp_path / "alias", f"{run}@500")
    assert answered.exit_code == 0
    assert "Converted 6, Skipped 0, Failed 0, Total 6" in answered.stderr
    assert batch(run, tmp_path / "none").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert batch(tmp_path / "empty").exit_code == 2


@pytest.mark.parametrize(
    ("word", "made"),
    [
        ("500", "checkpoint-500"),
        ("best", "checkpoint-1000"),
        ("last", "checkpoint-1500"),
        ("final", None),
    ],
)
def test_addresses(word: str, made: str | None, run: Path) -> None:
    assert batch(f"{run}@{word}").exit_code == 0
    assert pipelines(run) == ({made} if made else set())
    assert (run / "final_pipeline").exists() == (made is None)
    assert batch(f"{run}@501").exit_code == 2


def test_files_of_kohya(tmp_path: Path, base: Path) -> None:
    run = tmp_path / "loras"
    run.mkdir()
    for name, seed in (
        ("style-000002", 2),
        ("style-000010", 10),
        ("style", 11),
        ("face-000001", 1),
    ):
        save_file(lora(seed), run / f"{name}.safetensors")
    assert batch(run).exit_code == 3
    assert batch("--base", base, run).exit_code == 0
    assert pipelines(run) == {"style-000002", "style-000010", "face-000001"}
    assert (run / "style-final_pipeline").exists()
    assert {*statuses("--base", base, run / "style").values()} == {"skipped"}


def test_in_processes_it_is_the_same(run: Path, base: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other/my-run", base)
    (other / "checkpoints/checkpoint-1000/adapter_model.safetensors").write_bytes(b"broken")
    assert batch(run).exit_code == 0
    found = batch("--jobs", "2", other)
    assert found.exit_code == 3
    assert "Converted 3, Skipped 0, Failed 1, Total 4" in found.stderr
    for step in (500, 1500):
        one, two = (
            {
                name: data
                for name, data in contents(top / f"checkpoint_pipelines/checkpoint-{step}").items()
                if name != "checkpoint_metadata.json"
            }
            for top in (run, other)
        )
        assert one == two


def test_a_run_that_is_locked(run: Path, base: Path, tmp_path: Path) -> None:
    folder = run / "checkpoint_pipelines"
    folder.mkdir()
    with held(str(folder)):
        answered = batch(run)
        assert answered.exit_code == 5
        assert f"process {os.getpid()}" in answered.stderr
        other = write_run(tmp_path / "other", base, (100,))
        both = said(run, other)
        assert {line.get("error", {}).get("type") for line in both} == {"LockedError", None}
        assert len(pipelines(other)) == 1
    assert batch(run).exit_code == 0


def test_a_broken_journal_ends_no_other_run(run: Path, base: Path, tmp_path: Path) -> None:
    batch("--last", "1", run)
    journal = run / "checkpoint_pipelines/.journal.jsonl"
    journal.write_bytes(b"x" + journal.read_bytes())
    before = tree(run)
    alone = batch(run)
    assert (alone.exit_code, tree(run)) == (1, before)
    assert "next: move it away" in alone.stderr
    other = write_run(tmp_path / "other", base, (100,))
    assert batch(run, other).exit_code == 3
    assert (pipelines(other), tree(run)) == ({"checkpoint-100"}, before)
    journal.unlink()
    found = statuses(run)
    assert found["checkpoint-1500"] == "skipped", "what is whole is seen without a journal"
    assert len(found) == 4


def test_a_dead_holder_is_taken_over(run: Path) -> None:
    folder = run / "checkpoint_pipelines"
    folder.mkdir()
    code = (
        "import sys, time; from lora_convert.storage.locks import held\n"
        "with held(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        assert f"process {holder.pid}" in batch("--last", "1", run).stderr
        holder.kill()
        holder.wait()
    assert batch("--last", "1", run).exit_code == 0


def test_runs_that_share_a_base_do_not_meet(base: Path, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, base, (100, 200)) for name in ("one", "two")]
    before = tree(base)
    command = [sys.executable, "-m", "lora_convert", "batch", "-q"]
    started = [subprocess.Popen([*command, run], stdout=subprocess.DEVNULL) for run in runs]
    assert [process.wait(60) for process in started] == [0, 0]
    assert tree(base) == before
    assert [pipelines(run) for run in runs] == [{"checkpoint-100", "checkpoint-200"}] * 2


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_children_end_with_a_killed_batch(run: Path) -> None:
    """They would write into a run that another batch may hold by then."""
    for step in range(2000, 5000, 100):
        write_checkpoint(run, step)
    command = [sys.executable, "-m", "lora_convert", "batch", "-q", "--jobs", "2", str(run)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.kill()
        process.wait()
        ended = time.monotonic() + 10
        while _alive(process.pid) and time.monotonic() < ended:
            time.sleep(0.05)
        assert not _alive(process.pid)
    assert len(pipelines(run)) < 33
    assert batch("--steps", "500", run).exit_code == 0


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_lock_that_was_left_is_removed(run: Path) -> None:
    batch("--last", "1", run)
    lock = run / "checkpoint_pipelines" / LOCK
    lock.write_text("1 elsewhere\n")
    batch("--last", "1", run)
    assert not lock.exists()


def test_a_checkpoint_that_goes_meanwhile(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers keep the last few alone, and remove the others at any moment."""
    from lora_convert.operations import tasks

    original = tasks.do

    def do(task: tasks.Task) -> tasks.Outcome:
        shutil.rmtree(run / "checkpoints/checkpoint-1000", ignore_errors=True)
        return original(task)

    monkeypatch.setattr("lora_convert.operations.executing.do", do)
    answered = batch(run)
    assert answered.exit_code == 3
    assert "Converted 3, Skipped 0, Failed 1, Total 4" in answered.stderr
    assert batch(run).exit_code == 0


class Clock:
    """Time for a watch: each pause makes something happen, and the last is Ctrl-C."""

    def __init__(self, *events: Callable[[], object]) -> None:
        self.events = [*events]

    def pause(self, seconds: float) -> None:
        if not self.events:
            raise KeyboardInterrupt
        self.events.pop(0)()


def watched(monkeypatch: pytest.MonkeyPatch, clock: Clock, *arguments: str | Path) -> Answer:
    original = watching.watch

    def watch(*how: Any) -> Any:
        return original(*how, pause=clock.pause)

    monkeypatch.setattr(watching, "watch", watch)
    return batch("--watch", *arguments)


def aged(folder: Path, seconds: float = 60) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - seconds,) * 2)


def test_watching(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run / "lora_weights")
    aged(run)

    def appears() -> None:
        aged(write_checkpoint(run, 2000))

    def is_being_written() -> None:
        write_checkpoint(run, 2500)
        write_adapter(run / "lora_weights", 9)

    def breaks() -> None:
        folder = write_checkpoint(run, 3000)
        (folder / "adapter_model.safetensors").write_bytes(b"half")
        aged(folder)

    clock = Clock(appears, is_being_written, breaks, lambda: None, lambda: None)
    answered = watched(monkeypatch, clock, run)
    assert answered.exit_code == 130
    lines = [line.partition(" → ")[0] for line in answered.stdout.splitlines()]
    assert lines == [
        "converted: checkpoint-500",
        "converted: checkpoint-1000",
        "converted: checkpoint-1500",
        "converted: checkpoint-2000",
        "failed: checkpoint-3000",
    ]
    assert "Converted 4, Skipped 0, Failed 1, Total 5" in answered.stderr
    assert len(pipelines(run)) == 4
    aged(run / "checkpoints")
    aged(run / "lora_weights")
    found = statuses(run)
    assert (found["checkpoint-2500"], found["final"]) == ("converted", "converted")


def test_watching_a_run_that_has_not_begun(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()

    def begins() -> None:
        write_run(run, base, (100,))
        aged(run)

    answered = watched(monkeypatch, Clock(begins, lambda: None), "--best", "1", run)
    assert answered.exit_code == 130
    assert pipelines(run) == {"checkpoint-100"}
    assert batch("--watch", tmp_path / "none").exit_code == 2


def test_watching_with_force_makes_each_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch("--last", "1", run)
    aged(run / "checkpoints")
    clock = Clock(lambda: None, lambda: None)
    answered = watched(monkeypatch, clock, "--force", "--last", "1", run)
    assert len(answered.stdout.splitlines()) == 1


def _interrupted(command: list[str]) -> tuple[int, str]:
    """Exit code and output of a command that is interrupted at its first line."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        rest, told = process.communicate(timeout=60)
    return process.returncode, rest + told


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interruption_keeps_what_was_done(jobs: str, run: Path) -> None:
    """Of many checkpoints some are done; the command ends soon and in order, and goes on later."""
    code = steps = 0
    while not code and steps < 100:  # a busy machine may do twenty before the key is pressed
        for step in range(steps, steps + 20):
            write_checkpoint(run, 2000 + 100 * step)
        steps += 20
        command = [sys.executable, "-m", "lora_convert", "batch", "-q", "--jobs", jobs, str(run)]
        code, told = _interrupted(command)
    assert code == 130
    assert "Traceback" not in told
    done, total = pipelines(run), steps + 3
    assert 1 <= len(done) < total
    found = statuses(run)
    assert {name for name, status in found.items() if status == "skipped"} >= done - {"final"}
    assert {*found.values()} <= {"skipped", "converted"}
    assert len(pipelines(run)) == total
    # a key pressed just as a temporary was made leaves it to the next batch
    assert not [path for path in run.rglob(".*") if "lora-convert" in path.name]


def test_losses_of_metrics_with_infinities(run: Path) -> None:
    metrics(run, {500: float("inf"), 1000: float("inf"), 1500: float("inf")})
    assert batch("--last", "1", run).exit_code == 0
    text = (run / "checkpoint_pipelines/checkpoint-1500/checkpoint_metadata.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["loss"] is None


def test_a_disk_without_links_is_told_before(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks like that cannot be mounted everywhere: the system's calls answer as theirs do."""

    def none(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(linking, "_tried", {})
    monkeypatch.setattr(linking, "clone", lambda source, descriptor: False)
    monkeypatch.setattr(os, "link", none)
    answered = batch("--last", "2", run)
    assert answered.exit_code == 0
    assert "has no links: each pipeline copies what it shares" in answered.stderr
    shards = [*run.glob("checkpoint_pipelines/*/unet/*00001-of-00002*")]
    assert len({path.stat().st_ino for path in shards}) == 2
    single = answer(["pipeline", f"{run}@500", "-o", str(run / "checkpoint_pipelines/mine")])
    assert " bytes" in single.stderr


def test_best_says_by_which_log(run: Path) -> None:
    metrics(run, {500: 3.0, 1000: 1.0, 1500: 2.0})
    answered = batch("--best", "1", run)
    assert answered.exit_code == 0
    assert f"the best by {run / 'metrics.jsonl'}" in answered.stderr
    assert pipelines(run) == {"checkpoint-1000"}
