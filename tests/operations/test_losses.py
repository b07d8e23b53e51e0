"""Losses are read from what tools log, smoothed as is said, and rank checkpoints."""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
import statistics
from contextlib import closing
from pathlib import Path

import pytest

from lora_convert.errors import CheckpointNotFoundError, CorruptCheckpointError
from lora_convert.operations.losses import (
    LossHistory,
    history,
    loss_of,
    needed_losses,
    ranked,
    read_losses,
)
from lora_convert.operations.runs import Run, runs_in
from tests.operations.run_examples import EXAMPLES, metrics, touch
from tests.storage.event_writing import curve, event, event_file

CURVE = {step: 1.0 / (1 + step) for step in range(0, 1600, 10)}


def run_of(tool: str, folder: Path) -> Run:
    EXAMPLES[tool].make(folder)
    [run] = runs_in(str(folder))
    return run


def losses(run: Run) -> LossHistory:
    found = read_losses(run)
    assert found is not None
    return found


def made(points: list[tuple[int, float]]) -> LossHistory:
    found = history("made", "step", points)
    assert found is not None
    return found


# smoothing


def test_the_mean_of_what_was_recorded_within_a_twentieth_of_the_range() -> None:
    numbers = random.Random(3)
    steps = sorted(numbers.sample(range(1, 2001), 700))
    points = [(step, numbers.uniform(0, 1)) for step in steps]
    found = made(points)
    reach = 0.05 * (steps[-1] - steps[0])
    assert found.reach == reach
    for step in range(steps[0], steps[-1] + 1, 7):
        near = [loss for other, loss in points if abs(other - step) <= reach]
        assert found.smoothed_at(step) == pytest.approx(statistics.fmean(near), rel=1e-12)


def test_where_nothing_is_near_the_nearest_counts_and_beyond_the_record_nothing() -> None:
    found = made([(100, 1.0), (500, 2.0), (1100, 3.0)])
    assert found.reach == 50
    assert found.smoothed_at(300) == 1.0, "the earlier of two"
    assert found.smoothed_at(301) == 2.0
    assert found.smoothed_at(50) == 1.0
    assert found.smoothed_at(49) is None
    assert found.smoothed_at(1150) == 3.0
    assert found.smoothed_at(1151) is None
    alone = made([(7, 0.5)])
    assert (alone.smoothed_at(7), alone.smoothed_at(8)) == (0.5, None)


def test_losses_that_are_not_finite_are_left_out_until_they_are_half() -> None:
    nan, inf = math.nan, math.inf
    found = made([(0, 1.0), *((n, v) for n, v in enumerate([1.0, nan, 3.0], 1000)), (2000, 1.0)])
    assert found.smoothed_at(1001) == 2.0
    found = made([(0, 1.0), (1000, 1.0), (1001, -inf), (2000, nan)])
    assert found.smoothed_at(1000) == inf
    assert found.smoothed_at(2000) == inf


def test_a_spike_leaves_the_others_as_they_are() -> None:
    found = made([(0, 0.25), (1000, 1e300), (2000, 0.125), (2001, 0.125)])
    assert (found.smoothed_at(0), found.smoothed_at(2000)) == (0.25, 0.125)
    found = made([(0, 1.0), (1000, 1.7e308), (1001, 1.7e308)])
    assert found.smoothed_at(1000) == math.inf


def test_what_a_resumed_run_recorded_replaces_what_was_there() -> None:
    first = [(step, 1.0) for step in range(10, 110, 10)]
    second = [(step, 2.0) for step in range(60, 90, 10)]
    steps = [(10, 1.0), (20, 1.0), (30, 1.0), (40, 1.0), (50, 1.0), (60, 2.0), (70, 2.0), (80, 2.0)]
    assert made([*first, *second]).points == (*steps,)
    assert made([(5, 1.0), (5, 2.0)]).points == ((5, 2.0),)
    assert history("made", "step", []) is None
    assert history("made", "step", [(-1, 1.0), (2**60, 1.0)]) is None


# sources


def test_each_source_gives_the_same_history(tmp_path: Path) -> None:
    def of_metrics(run: Path) -> str:
        metrics(run, CURVE)
        return "metrics.jsonl"

    def of_events(run: Path) -> str:
        curve(run / "logs/text2image/events.out.tfevents.1.host", "train_loss", CURVE.items())
        curve(run / "logs/text2image/9.5/events.out.tfevents.2.host", "hparams", [(0, 1.0)])
        return "logs/text2image"

    def of_trainer(run: Path) -> str:
        lines = [{"step": step, "loss": loss, "epoch": 0.1} for step, loss in CURVE.items()]
        state = {"log_history": [*lines, {"step": 1590, "train_loss": 3.0}]}
        touch(run / "checkpoints/checkpoint-1500/trainer_state.json", json.dumps(state))
        return "checkpoints/checkpoint-1500/trainer_state.json"

    def of_database(run: Path) -> str:
        database(run / "loss_log.db", "loss/loss", CURVE)
        return "loss_log.db"

    for number, write in enumerate((of_metrics, of_events, of_trainer, of_database)):
        run = run_of("accelerate", tmp_path / str(number))
        assert read_losses(run) is None
        source = write(Path(run.path))
        found = losses(run)
        assert os.path.relpath(found.source, run.path) == source
        assert found.axis == "step"
        assert [step for step, _ in found.points] == [*CURVE]
        assert [loss for _, loss in found.points] == pytest.approx([*CURVE.values()])
        assert [one.step for one, _ in ranked(run, found)] == [1500, 1000, 500]


def database(path: Path, key: str, points: dict[int, float]) -> None:
    """A log as ai-toolkit's ``UILogger`` lays it out."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE steps (step INTEGER PRIMARY KEY, wall_time REAL NOT NULL)")
        connection.execute(
            "CREATE TABLE metrics (step INTEGER NOT NULL, key TEXT NOT NULL, value_real REAL,"
            " value_text TEXT, PRIMARY KEY (step, key))"
        )
        rows = [(step, key, loss) for step, loss in points.items()]
        rows += [(step, "learning_rate", 1e-4) for step in points]
        connection.executemany("INSERT INTO metrics (step, key, value_real) VALUES (?, ?, ?)", rows)
        connection.commit()


def test_sources_have_an_order(tmp_path: Path) -> None:
    run = run_of("accelerate", tmp_path)
    database(tmp_path / "loss_log.db", "loss", {1: 4.0})
    assert losses(run).points == ((1, 4.0),)
    touch(tmp_path / "trainer_state.json", '{"log_history": [{"step": 1, "loss": 3}]}')
    assert losses(run).points == ((1, 3.0),)
    curve(tmp_path / "tb/events.out.tfevents.1", "loss", [(1, 2.0)])
    assert losses(run).points == ((1, 2.0),)
    metrics(tmp_path, {1: 1.0})
    assert losses(run).points == ((1, 1.0),)


def test_the_plain_curve_is_taken_before_a_running_average(tmp_path: Path) -> None:
    run = run_of("accelerate", tmp_path)
    both = [event(step, loss__average=1.0, loss__current=2.0) for step in (1, 2)]
    event_file(tmp_path / "logs/events.out.tfevents.1", both)
    assert losses(run).points == ((1, 2.0), (2, 2.0))


def test_sessions_of_one_folder_go_on_from_one_another(tmp_path: Path) -> None:
    run = run_of("accelerate", tmp_path)
    curve(tmp_path / "runs/events.out.tfevents.9.a", "loss", [(n, 1.0) for n in (1, 2, 3)])
    curve(tmp_path / "runs/events.out.tfevents.10.a", "loss", [(n, 2.0) for n in (2, 3, 4)])
    assert losses(run).points == ((1, 1.0), (2, 2.0), (3, 2.0), (4, 2.0))


def test_of_several_logs_the_one_written_with_the_last_checkpoint_counts(tmp_path: Path) -> None:
    run = run_of("kohya", tmp_path / "output")
    for number, name in enumerate(("20260101", "20260201", "20260301")):
        path = tmp_path / f"logs/{name}/network_train/events.out.tfevents.{number}"
        curve(path, "loss/epoch_average", [(epoch, number + epoch / 10) for epoch in range(1, 11)])
        os.utime(path, (1e9 + 1000 * number,) * 2)
    os.utime(run.checkpoints[-1].path, (1e9 + 1100,) * 2)
    [run] = runs_in(run.path)
    found = losses(run)
    assert found.axis == "epoch"
    assert Path(found.source) == tmp_path / "logs/20260201/network_train"
    assert loss_of(run.checkpoints[0], found) == pytest.approx(1.2)
    assert [one.epoch for one, _ in ranked(run, found)] == [2, 4, 10]


def test_onetrainers_curve_is_found_in_its_workspace(tmp_path: Path) -> None:
    run = run_of("onetrainer", tmp_path)
    path = tmp_path / "tensorboard/2026-11-01_10-00-00/events.out.tfevents.1"
    steps = [event(n, **{"loss/train_step": n, "smooth_loss/train_step": 0.0}) for n in (200, 1000)]
    event_file(path, steps)
    assert losses(run).points == ((200, 200.0), (1000, 1000.0))


def test_a_database_whose_writer_lives_is_read_with_its_log_and_not_touched(
    tmp_path: Path,
) -> None:
    run = run_of("ai-toolkit", tmp_path)
    path = tmp_path / "loss_log.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE metrics (step INTEGER, key TEXT, value_real REAL)")
    writer.execute("INSERT INTO metrics VALUES (250, 'loss/loss', 0.5), (500, 'loss/loss', NULL)")
    before = {
        file: file.read_bytes() for file in tmp_path.glob("loss_log*") if "shm" not in file.name
    }
    assert losses(run).points == ((250, 0.5),)
    assert before == {file: file.read_bytes() for file in before}
    writer.close()


# what cannot be ranked, and what is broken


def test_no_loss_is_an_error_that_says_where_was_looked(tmp_path: Path) -> None:
    run = run_of("diffsynth", tmp_path)
    with pytest.raises(CheckpointNotFoundError, match="no loss is recorded") as error:
        needed_losses(run)
    assert "metrics.jsonl" in error.value.hint
    assert "@last" in error.value.hint
    assert error.value.exit_code == 2


def test_a_loss_of_other_steps_is_an_error(tmp_path: Path) -> None:
    run = run_of("accelerate", tmp_path)
    metrics(tmp_path, {9000: 1.0, 9100: 0.5})
    with pytest.raises(CheckpointNotFoundError, match="not that of its checkpoints") as error:
        needed_losses(run)
    assert "steps 9000 to 9100" in error.value.hint


def test_of_equal_losses_the_later_is_better_and_a_diverged_one_is_last(tmp_path: Path) -> None:
    run = run_of("accelerate", tmp_path)
    metrics(tmp_path, {500: 0.5, 1000: 0.5, 1500: math.nan})
    found = ranked(run, needed_losses(run))
    assert [one.step for one, _ in found] == [1000, 500, 1500]
    assert found[-1][1] == math.inf


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("metrics.jsonl", '{"step": 1}\n{"step"\n{}\n', "line 2 is not a JSON object"),
        ("metrics.jsonl", '[1]\n{"step": 1}\n', "line 1 is not a JSON object"),
        ("metrics.jsonl", "[" * 100_000 + "\n", "line 1 is not a JSON object"),
        ("metrics.jsonl", "x" * (3 << 20), "has a line of more than"),
        ("trainer_state.json", "{}", "has no log_history"),
        ("trainer_state.json", "[", "is not valid JSON"),
        ("loss_log.db", "no database", "is no loss log of ai-toolkit"),
        ("loss_log.db", "", "is no loss log of ai-toolkit"),
        ("tb/events.out.tfevents.1", "no records at all", "its record at byte 0"),
    ],
)
def test_a_broken_log_is_told(name: str, text: str, problem: str, tmp_path: Path) -> None:
    run = run_of("accelerate", tmp_path)
    touch(tmp_path / name, text)
    with pytest.raises(CorruptCheckpointError, match=problem):
        read_losses(run)


def test_a_line_that_was_not_finished_and_one_without_a_loss_are_left_out(tmp_path: Path) -> None:
    run = run_of("accelerate", tmp_path)
    lines = [
        '{"step": 1, "loss": 0.5, "lr": 1e-4}',
        "",
        '{"step": 2, "event": "save"}',
        '{"step": "3", "loss": 1}',
        '{"step": true, "loss": 1}',
        '{"step": 4, "loss": null}',
        '{"step": 5, "loss": NaN}',
        '{"step": 6, "loss": 1' + "0" * 400 + "}",
        '{"step": ' + "9" * 400 + ', "loss": 1}',
        '{"step": 7, "loss": 0.2',
    ]
    touch(tmp_path / "metrics.jsonl", "\n".join(lines))
    points = losses(run).points
    assert points[0] == (1, 0.5)
    assert [step for step, _ in points] == [1, 5, 6]
    assert math.isnan(points[1][1])
    touch(tmp_path / "metrics.jsonl", '{"step": 8, "loss": 0.1}')
    assert losses(run).points == ((8, 0.1),), "a last line without an end counts where it is whole"


def test_memory_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_convert.operations.losses.MOST_POINTS", 9)
    points = dict.fromkeys(range(10), 0.5)
    run = run_of("accelerate", tmp_path)
    database(tmp_path / "loss_log.db", "loss", points)
    for write in (
        lambda: curve(tmp_path / "events.out.tfevents.1", "loss", points.items()),
        lambda: metrics(tmp_path, points),
    ):
        with pytest.raises(CorruptCheckpointError, match="more than 9 values"):
            read_losses(run)
        write()
    with pytest.raises(CorruptCheckpointError, match="more than 9 values"):
        read_losses(run)


@pytest.mark.parametrize("key", ["'loss' || step", "substr('loss' || step, 1, 4)"])
def test_a_view_without_an_end_is_told(key: str, tmp_path: Path) -> None:
    run = run_of("accelerate", tmp_path)
    with closing(sqlite3.connect(tmp_path / "loss_log.db")) as connection:
        connection.execute(
            "CREATE VIEW metrics AS WITH RECURSIVE n(step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM n)"
            f" SELECT step, {key} AS key, 0.5 AS value_real FROM n"
        )
    with pytest.raises(CorruptCheckpointError, match="interrupted"):
        read_losses(run)


def test_lines_across_blocks_are_whole(tmp_path: Path) -> None:
    run = run_of("accelerate", tmp_path)
    points = {step: step / 3 for step in range(20_000)}
    metrics(tmp_path, points)
    assert losses(run).points == (*points.items(),)
