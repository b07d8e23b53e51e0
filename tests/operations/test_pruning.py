"""What is pruned: what no rule keeps, all that belongs to it, nothing else, and back again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_convert.errors import CheckpointNotFoundError, NotMovedError, OptionError, RunActiveError
from lora_convert.operations.addresses import run_at
from lora_convert.operations.pruning import PrunePlan, Rules, plan_prune
from lora_convert.operations.runs import runs_in
from lora_convert.operations.sharing import TRASH
from lora_convert.operations.trashing import undo
from lora_convert.storage.footprint import freed_by
from lora_convert.storage.trash import Trash
from tests.operations.run_examples import EXAMPLES, MORE, checkpoint, metrics, touch
from tests.operations.test_idle import aged
from tests.storage.test_trash import contents

ALL = EXAMPLES | MORE


def made(tmp_path: Path, tool: str) -> Path:
    run = tmp_path / "run"
    ALL[tool].make(run)
    aged(run)
    return run


def planned(run: Path, **rules: object) -> PrunePlan:
    return plan_prune(run_at(str(run)), Rules(**rules))  # type: ignore[arg-type]


def kept(run: Path, **rules: object) -> list[int | None]:
    plan = planned(run, **rules)
    return [
        one.checkpoint.epoch if one.checkpoint.step is None else one.checkpoint.step
        for one in plan.kept
    ]


@pytest.fixture
def shoes(tmp_path: Path) -> Path:
    run = tmp_path / "shoes"
    for step in range(100, 1001, 100):
        checkpoint(run / f"checkpoints/checkpoint-{step}", "model.safetensors", "optimizer.bin")
    metrics(run, {step: abs(step - 400) / 1000 for step in range(0, 1001, 10)})
    aged(run)
    return run


@pytest.mark.parametrize(
    ("rules", "steps"),
    [
        ({"last": 1}, [1000]),
        ({"last": 3}, [800, 900, 1000]),
        ({"last": 99}, [*range(100, 1001, 100)]),
        ({"best": 1}, [400, 1000]),
        ({"best": 3}, [300, 400, 500, 1000]),
        ({"every": 500}, [500, 1000]),
        ({"every": 7}, [700, 1000]),
        ({"every": 1300}, [1000]),
        ({"last": 1, "pins": (200,)}, [200, 1000]),
        ({"best": 1, "last": 2, "every": 300, "pins": (100,)}, [100, 300, 400, 600, 900, 1000]),
        ({"drop_resume_state": True}, [*range(100, 1001, 100)]),
        ({"unused": True}, [*range(100, 1001, 100)]),
    ],
)
def test_what_any_rule_keeps_stays_and_the_newest_always(
    shoes: Path, rules: dict[str, object], steps: list[int]
) -> None:
    assert kept(shoes, **rules) == steps


def test_what_was_written_last_stays_also_where_its_step_is_not_the_last(shoes: Path) -> None:
    weights = shoes / "checkpoints/checkpoint-300/model.safetensors"
    os.utime(weights, (weights.stat().st_mtime + 60,) * 2)
    assert kept(shoes, last=1) == [300, 1000]


@pytest.mark.parametrize("rules", [{}, {"pins": (100,)}])
def test_without_a_rule_nothing_is_planned(shoes: Path, rules: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="nothing says"):
        planned(shoes, **rules)


def test_a_pin_that_is_not_there_is_an_error(shoes: Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match="150"):
        planned(shoes, last=1, pins=(150,))


def test_the_best_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match="no loss"):
        planned(made(tmp_path, "diffusers"), best=1)


@pytest.mark.parametrize("tool", ALL)
def test_the_newest_and_the_final_adapter_of_every_tool_stay_and_all_comes_back(
    tool: str, tmp_path: Path
) -> None:
    folder = made(tmp_path, tool)
    before = contents(folder)
    (run,) = runs_in(str(folder))
    done = planned(folder, last=1).apply()
    assert done.item
    assert not done.left
    (left,) = runs_in(str(folder))
    assert left.checkpoints == run.checkpoints[-1:]
    assert left.final == run.final
    assert planned(folder, last=1).taken == ()
    undo(str(folder))
    assert contents(folder) == before
    assert runs_in(str(folder)) == [run]


def gone(plan: PrunePlan) -> set[str]:
    return {name for one in plan.taken for name in one.names}


def test_what_belongs_to_a_checkpoint_goes_with_it(tmp_path: Path) -> None:
    run = made(tmp_path, "kohya")
    for name in (
        "style-000002.pt",
        "style-000002-state/optimizer.bin",
        "checkpoint_pipelines/style-000002/model_index.json",
        "checkpoint_pipelines/style-000004/model_index.json",
        "checkpoint_loras/style-000002_kohya.safetensors",
        "checkpoint_loras/style-000002_peft/adapter_model.safetensors",
        "checkpoint_loras/style-000010_kohya.safetensors",
        "other-000002.safetensors",
    ):
        touch(run / name)
    aged(run)
    plan = plan_prune(run_at(str(run / "style")), Rules(last=1))
    assert gone(plan) == {
        "style-000002.safetensors",
        "style-000002.pt",
        "style-000002-state",
        "checkpoint_pipelines/style-000002",
        "checkpoint_loras/style-000002_kohya.safetensors",
        "checkpoint_loras/style-000002_peft",
        "style-000004.safetensors",
        "checkpoint_pipelines/style-000004",
    }


def test_a_compacted_checkpoint_goes_whole(tmp_path: Path) -> None:
    run = made(tmp_path, "kohya")
    (run / "style-000002.safetensors").unlink()
    own = {"style-000002.safetensors.recipe", "style-000002.adapter.safetensors"}
    for name in own:
        touch(run / name)
    aged(run)
    assert gone(planned(run, last=2)) == own


def test_a_backup_of_the_same_step_goes_too(tmp_path: Path) -> None:
    run = made(tmp_path, "onetrainer")
    for name in ("lora/lora.safetensors", "optimizer/optimizer.pt"):
        touch(run / "backup/2026-11-01_10-11-13-backup-200-1-0" / name)
    aged(run)
    assert {name.split("/")[0] for name in gone(planned(run, last=2))} == {"save", "backup"}
    planned(run, last=2).apply()
    (left,) = runs_in(str(run))
    assert [one.step for one in left.checkpoints] == [300, 1000]


STATES = {
    "accelerate": {
        f"checkpoints/checkpoint-{step}/{name}"
        for step in (500, 1000, 1500)
        for name in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl")
    },
    "kohya": {"style-000010-state"},
    "onetrainer": {
        "backup/2026-11-02_10-11-13-backup-300-2-5/optimizer",
        "backup/2026-11-09_10-11-13-backup-1000-9-5/optimizer",
    },
    "ai-toolkit": {"optimizer.pt"},
    "epoch-step": set(),
}


@pytest.mark.parametrize("tool", STATES)
def test_resume_states_go_and_the_weights_stay(tool: str, tmp_path: Path) -> None:
    folder = made(tmp_path, tool)
    runs = runs_in(str(folder))
    plan = planned(folder, drop_resume_state=True)
    assert gone(plan) == STATES[tool]
    assert bool(plan.notes) == bool(STATES[tool])
    if plan.taken:
        plan.apply()
    assert runs_in(str(folder)) == runs


def test_what_only_begins_like_a_state_stays(tmp_path: Path) -> None:
    run = made(tmp_path, "diffusers")
    folder = run / "checkpoint-500"
    for name in (
        "scheduler/scheduler_config.json",
        "scheduler.safetensors",
        "optimizer_0/x.distcp",
    ):
        touch(folder / name)
    (folder / "rng_state.pth").symlink_to("optimizer.bin")
    aged(run)
    names = {name for name in gone(planned(run, drop_resume_state=True)) if "-500" in name}
    assert names == {
        f"checkpoint-500/{name}"
        for name in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl", "optimizer_0")
    }


def _shared(run: Path) -> Path:
    store = run / "checkpoint_pipelines/.shared"
    for number in range(5):
        touch(store / (f"{number}" * 64))
    return store


def test_what_no_pipeline_uses_goes(shoes: Path) -> None:
    store = _shared(shoes)
    entries = sorted(store.iterdir())
    for step, entry in ((100, entries[0]), (1000, entries[1])):
        pipeline = shoes / f"checkpoint_pipelines/checkpoint-{step}"
        pipeline.mkdir()
        (pipeline / "weights").hardlink_to(entry)
        (pipeline / "link").symlink_to(f"../.shared/{entries[step // 1000 + 2].name}")
    name = "checkpoint_pipelines/.shared/{}".format
    assert gone(planned(shoes, unused=True)) == {name(entries[4].name)}
    plan = planned(shoes, unused=True, last=1)
    used = {name(entries[number].name) for number in (1, 3)}
    assert {n for n in gone(plan) if ".shared" in n} == {name(e.name) for e in entries} - used
    assert plan.freed == freed_by(str(shoes / n) for n in gone(plan))
    before = contents(shoes)
    plan.apply()
    undo(str(shoes))
    assert contents(shoes) == before
    planned(shoes, last=1).apply()
    assert gone(planned(shoes, unused=True)) == {name(entries[4].name)}, "the trash may need it"


def _linked(run: Path) -> None:
    folder = run / "checkpoints/checkpoint-200"
    folder.rename(run / "elsewhere")
    folder.symlink_to("../elsewhere")


def _written(run: Path) -> None:
    touch(run / "checkpoints/checkpoint-200/model.safetensors", "another")


def _replaced(run: Path) -> None:
    folder = run / "checkpoints/checkpoint-200"
    folder.rename(run / "elsewhere")
    checkpoint(folder, "model.safetensors", "optimizer.bin")


def _gone(run: Path) -> None:
    (run / "checkpoints/checkpoint-200").rename(run / "elsewhere")


@pytest.mark.parametrize("change", [_linked, _written, _replaced, _gone])
def test_what_changed_since_the_plan_stays_and_the_rest_goes(
    shoes: Path, change: Callable[[Path], None]
) -> None:
    plan = planned(shoes, last=1)
    change(shoes)
    before = contents(shoes)
    done = plan.apply(force=True)
    assert [left.title for left in done.left] == ["checkpoint-200"]
    assert isinstance(done.left[0].error, NotMovedError)
    assert {one.title for one in done.taken} == {
        f"checkpoint-{step}" for step in range(100, 1000, 100) if step != 200
    }
    undo(str(shoes))
    assert contents(shoes) == before


def test_a_checkpoint_that_is_a_link_is_left_and_named(shoes: Path) -> None:
    _linked(shoes)
    plan = planned(shoes, last=1)
    assert [left.title for left in plan.left] == ["checkpoint-200"]
    assert "symbolic link" in plan.left[0].error.what
    done = plan.apply()
    assert [left.title for left in done.left] == ["checkpoint-200"]
    assert len(done.taken) == 8


def test_checkpoints_behind_a_link_all_stay(shoes: Path) -> None:
    (shoes / "checkpoints").rename(shoes / "elsewhere")
    (shoes / "checkpoints").symlink_to("elsewhere")
    plan = planned(shoes, last=1)
    assert (len(plan.taken), len(plan.left)) == (0, 9)
    assert plan.apply().item is None


def test_a_trash_that_is_a_link_takes_nothing(shoes: Path) -> None:
    plan = planned(shoes, last=1)
    (shoes.parent / "elsewhere").mkdir()
    (shoes / TRASH).symlink_to(shoes.parent / "elsewhere")
    before = contents(shoes)
    with pytest.raises(NotMovedError, match=r"\.trash"):
        plan.apply()
    assert contents(shoes) == before


def test_a_run_that_began_to_train_since_the_plan_is_left_alone(shoes: Path) -> None:
    plan = planned(shoes, last=1)
    touch(shoes / "metrics.jsonl")
    with pytest.raises(RunActiveError, match=r"metrics\.jsonl"):
        plan.apply()
    assert not Trash(str(shoes), TRASH).items()
