"""Runs are read from names alone: what is a checkpoint, in which order, and what never is."""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_convert.errors import AmbiguousCheckpointError, CheckpointNotFoundError, OptionError
from lora_convert.operations import runs as reading
from lora_convert.operations.addresses import resolved, run_at
from lora_convert.operations.run_layouts import LAYOUTS, MADE_HERE
from lora_convert.operations.run_listing import (
    conversions_beside,
    runs_below,
    sizes_by_checkpoint,
    sizes_of,
)
from lora_convert.operations.runs import Run, runs_in
from lora_convert.operations.selecting import Selector, at_step, selected, selector
from lora_convert.storage.files import SourceFile
from tests.operations.run_examples import (
    EXAMPLES,
    MORE,
    STATE,
    checkpoint,
    kohya,
    metrics,
    touch,
)

EVERY = EXAMPLES | MORE

TOOLS = [layout.tool for layout in LAYOUTS]


def made(tool: str, folder: Path) -> Run:
    EVERY[tool].make(folder)
    [run] = runs_in(str(folder))
    return run


def counts(run: Run) -> tuple[int | None, ...]:
    return tuple(one.epoch if one.step is None else one.step for one in run.checkpoints)


# the table


def test_every_layout_has_an_example() -> None:
    assert set(EXAMPLES) == set(TOOLS)
    assert len(TOOLS) == len(set(TOOLS))


def test_every_place_of_a_layout_is_in_an_example(tmp_path: Path) -> None:
    left = {(layout.tool, place.names.pattern) for layout in LAYOUTS for place in layout.places}
    for name, example in EVERY.items():
        example.make(tmp_path / name)
        names = [path.name for path in (tmp_path / name).rglob("*")]
        patterns = {pattern for tool, pattern in left if tool == (example.tool or name)}
        left -= {
            (example.tool or name, pattern)
            for pattern in patterns
            if any(re.fullmatch(pattern, found) for found in names)
        }
    assert not left


@pytest.mark.parametrize("name", EVERY)
def test_every_example_is_read_as_its_own(name: str, tmp_path: Path) -> None:
    run = made(name, tmp_path / "run")
    example = EVERY[name]
    assert (run.tool, run.path) == (example.tool or name, str(tmp_path / "run"))
    assert run.address == run.path
    assert counts(run) == example.counts
    assert run.base_model == example.base_model
    assert (run.final and os.path.relpath(run.final, run.path)) == example.final
    assert all(os.path.exists(one.path) and os.path.exists(one.source) for one in run.checkpoints)
    assert all(one.modified > 1e9 for one in run.checkpoints)


@pytest.mark.parametrize("tool", TOOLS)
def test_no_layout_takes_anothers_example(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, example in EVERY.items():
        example.make(tmp_path / name)
    row = next(layout for layout in LAYOUTS if layout.tool == tool)
    monkeypatch.setattr(reading, "LAYOUTS", (row,))
    own = {name for name, example in EVERY.items() if tool == (example.tool or name)}
    assert {name for name in EVERY if runs_in(str(tmp_path / name))} == own


@pytest.mark.parametrize("tool", TOOLS)
def test_reading_a_run_opens_no_weights_and_changes_nothing(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EXAMPLES[tool].make(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    opened: list[str] = []
    real = SourceFile.__init__

    def recorded(self: SourceFile, path: str) -> None:
        opened.append(path)
        real(self, path)

    monkeypatch.setattr(SourceFile, "__init__", recorded)
    monkeypatch.setattr("builtins.open", None)
    [run] = runs_in(str(tmp_path))
    sizes_of(run)
    conversions_beside(run)
    assert {Path(path).suffix for path in opened} <= {".json"}
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


# what is no checkpoint


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_made_here_hidden_or_left_over_is_no_checkpoint(tool: str, tmp_path: Path) -> None:
    run = made(tool, tmp_path / "run")
    for folder in MADE_HERE:
        EXAMPLES[tool].make(tmp_path / "run" / folder / "inner")
    for number in (500, 7000):
        for folder in ("", "checkpoints/"):
            pipeline = tmp_path / f"run/checkpoint_pipelines/{folder}checkpoint-{number}"
            checkpoint(pipeline, "model_index.json", "unet/diffusion_pytorch_model.safetensors")
    for one in run.checkpoints:
        path = Path(one.path)
        hidden = path.with_name(f".{path.name}"), path.with_name(f"._{path.name}")
        leftover = path.with_name(f".{path.name}.0123456789ab.lora-convert-tmp")
        for other in (*hidden, leftover):
            if path.is_dir():
                checkpoint(other, *os.listdir(path), "model.safetensors")
            else:
                touch(other)
    assert runs_in(str(tmp_path / "run")) == [run]
    assert runs_in(str(tmp_path / "run" / "checkpoint_pipelines")) == []
    assert [found.address for found in runs_below(str(tmp_path))] == [run.address]


def test_unknown_names_and_folders_without_weights_are_no_checkpoints(tmp_path: Path) -> None:
    run = made("diffusers", tmp_path)
    for name in ("checkpoint-best", "checkpoint", "checkpoint-", "checkpoint-12a", "step-5"):
        checkpoint(tmp_path / name, "pytorch_lora_weights.safetensors")
    checkpoint(tmp_path / "checkpoint-7", *STATE)
    (tmp_path / "checkpoint-8").mkdir()
    touch(tmp_path / "checkpoint-9")
    checkpoint(tmp_path / "checkpoint-10", "model_index.json", "unet/model.safetensors")
    checkpoint(tmp_path / "checkpoint-\u0661", "pytorch_lora_weights.safetensors")
    assert runs_in(str(tmp_path)) == [run]
    checkpoint(tmp_path / "checkpoint-11", "unet/adapter_model.safetensors")
    assert counts(runs_in(str(tmp_path))[0]) == (11, 500, 1000)


def test_links_are_not_followed_out_of_the_run(tmp_path: Path) -> None:
    run = made("diffusers", tmp_path / "run")
    checkpoint(tmp_path / "elsewhere/checkpoint-9", "pytorch_lora_weights.safetensors")
    (tmp_path / "run/checkpoint-9").symlink_to(tmp_path / "elsewhere/checkpoint-9")
    (tmp_path / "run/checkpoints").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "run/checkpoint-10").symlink_to(tmp_path / "nowhere")
    (tmp_path / "run/checkpoint-11").symlink_to(tmp_path / "run-2")
    checkpoint(tmp_path / "run-2", "pytorch_lora_weights.safetensors")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert runs_in(str(tmp_path / "run")) == [run]
    (tmp_path / "run/checkpoint-12").symlink_to("checkpoint-500")
    assert counts(runs_in(str(tmp_path / "run"))[0]) == (12, 500, 1000)
    assert [Path(found.path).name for found in runs_below(str(tmp_path))] == ["elsewhere", "run"]
    (tmp_path / "another-name").symlink_to(tmp_path / "run")
    assert counts(runs_in(str(tmp_path / "another-name"))[0]) == (12, 500, 1000)


def test_a_manifest_that_is_no_object_is_passed_over(tmp_path: Path) -> None:
    for text in ("[1]", "{", '{"model": "x", "args": 3, "base_model": ["y"]}'):
        made("diffusers", tmp_path)
        (tmp_path / "run.json").write_text(text)
        assert runs_in(str(tmp_path))[0].base_model is None


def test_weights_keep_their_date_when_something_is_converted_beside_them(tmp_path: Path) -> None:
    run = made("diffusers", tmp_path)
    old = Path(run.checkpoints[0].path)
    os.utime(old / "pytorch_lora_weights.safetensors", (1e9, 1e9))
    touch(old / "pytorch_lora_weights_kohya.safetensors")
    assert runs_in(str(tmp_path))[0].checkpoints[0].modified == 1e9


# several runs of one folder, and order


def test_files_of_several_runs_in_one_folder_are_several_runs(tmp_path: Path) -> None:
    kohya(tmp_path)
    for step in (100, 1000, 200):
        touch(tmp_path / f"style-2-step{step:08d}.safetensors")
    first, second = runs_in(str(tmp_path))
    assert [run.name for run in (first, second)] == ["style", "style-2"]
    assert second.address == str(tmp_path / "style-2")
    assert (counts(second), second.final) == ((100, 200, 1000), None)
    assert run_at(second.address) == second
    with pytest.raises(AmbiguousCheckpointError) as error:
        run_at(str(tmp_path))
    assert error.value.choices == (first.address, second.address)
    assert resolved(f"{tmp_path}/style-2@last").endswith("style-2-step00001000.safetensors")


def test_a_run_of_epochs_and_steps_is_in_order_of_time(tmp_path: Path) -> None:
    names = ("a-step00000010", "a-000001", "a-step00000020", "a-000002")
    for seconds, name in enumerate(names):
        os.utime(touch(tmp_path / f"{name}.safetensors"), (1e9 + seconds, 1e9 + seconds))
    [run] = runs_in(str(tmp_path))
    assert [one.name.split(".")[0] for one in run.checkpoints] == [*names]
    assert at_step(run, 20).name == "a-step00000020.safetensors"


def test_of_a_save_and_a_backup_of_one_step_the_save_counts(tmp_path: Path) -> None:
    run = made("onetrainer", tmp_path)
    assert [one.kind for one in run.checkpoints] == ["file", "backup", "file"]
    assert run.checkpoints[1].source.endswith("-5/lora/lora.safetensors")


def test_checkpoints_of_which_some_lack_a_sign_are_one_run(tmp_path: Path) -> None:
    run = made("trainer", tmp_path)
    checkpoint(tmp_path / "checkpoint-150", "pytorch_lora_weights.safetensors")
    [mixed] = runs_in(str(tmp_path))
    assert (mixed.tool, counts(mixed)) == ("trainer", (50, 100, 150))
    assert mixed.checkpoints[:2] == run.checkpoints


def test_of_two_containers_of_one_checkpoint_safetensors_count(tmp_path: Path) -> None:
    run = made("kohya", tmp_path)
    for suffix in ("ckpt", "pt", "bin"):
        touch(tmp_path / f"style-000010.{suffix}")
    assert runs_in(str(tmp_path)) == [run]


def test_a_folder_of_many_other_files_takes_no_time(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"step-{number}-000001.png").touch()
    run = made("kohya", tmp_path)
    started = time.process_time()
    assert runs_in(str(tmp_path)) == [run]
    assert time.process_time() - started < 0.5


def test_thousands_of_checkpoints_take_no_time(tmp_path: Path) -> None:
    for step in range(3000):
        (tmp_path / f"folders/checkpoint-{step}").mkdir(parents=True)
        (tmp_path / f"folders/checkpoint-{step}/model.safetensors").touch()
    (tmp_path / "files").mkdir()
    for step in range(3000):
        (tmp_path / f"files/style-step{step:08d}.safetensors").touch()
    for name in ("folders", "files"):
        started = time.process_time()
        [run] = runs_in(str(tmp_path / name))
        assert time.process_time() - started < 0.9
        assert counts(run) == tuple(range(3000))


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match="No such file"):
        runs_in(str(tmp_path / "none"))
    with pytest.raises(CheckpointNotFoundError, match="Not a directory"):
        runs_in(str(touch(tmp_path / "file")))


# addresses


@pytest.mark.parametrize("tool", TOOLS)
def test_addresses_name_checkpoints(tool: str, tmp_path: Path) -> None:
    run = made(tool, tmp_path / "a@b")
    for one, count in zip(run.checkpoints, EXAMPLES[tool].counts, strict=True):
        assert resolved(f"{run.path}@{count}") == one.source
        assert os.path.exists(one.source)
    assert resolved(f"{run.path}@last") == run.checkpoints[-1].source
    if run.final:
        assert resolved(f"{run.path}@final") == run.final
    else:
        with pytest.raises(CheckpointNotFoundError, match="apart from its checkpoints") as error:
            resolved(f"{run.path}@final")
        assert "@last" in error.value.hint


def test_a_step_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    run = made("accelerate", tmp_path)
    with pytest.raises(CheckpointNotFoundError, match="no checkpoint of step 1400") as error:
        resolved(f"{run.path}@1400")
    assert error.value.hint == "the nearest are 500, 1000, 1500"
    assert error.value.exit_code == 2


def test_what_exists_wins_and_what_is_no_address_stays(tmp_path: Path) -> None:
    run = made("accelerate", tmp_path / "run")
    real = touch(tmp_path / "run@500")
    assert resolved(str(real)) == str(real)
    real.unlink()
    assert resolved(str(real)) == run.checkpoints[0].path
    real.symlink_to(tmp_path / "nowhere")
    assert resolved(str(real)) == str(real), "a broken link is told as itself"
    for path in ("user@host", "@500", "@", f"{tmp_path}/none@last", f"{tmp_path}/@last", "a/b@c"):
        assert resolved(path) == path
    with pytest.raises(CheckpointNotFoundError, match="no such file or checkpoint") as error:
        resolved(f"{run.path}@bset")
    assert "best, last, final" in error.value.hint


def test_an_address_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kohya(tmp_path)
    touch(tmp_path / "other-000001.safetensors")
    monkeypatch.chdir(tmp_path)
    assert resolved("style@10") == os.path.join(".", "style-000010.safetensors")


# selectors


def test_one_selector_is_given_or_none() -> None:
    assert selector() is None
    assert selector(steps=[500, 1500]) == Selector(steps=(500, 1500))
    for several in ({"best": 1, "last": 1}, {"steps": [1], "every": 2}, {"best": 0}, {"every": -1}):
        with pytest.raises(OptionError) as error:
            selector(**several)  # type: ignore[arg-type]
        assert error.value.exit_code == 2


def test_selectors_choose_in_the_runs_order(tmp_path: Path) -> None:
    run = made("accelerate", tmp_path)
    first, second, third = run.checkpoints

    def backwards(run: Run) -> list[object]:
        return [third, first, second]

    def never(run: Run) -> list[object]:
        raise AssertionError

    def steps(wanted: Selector, ranked: object = never) -> list[int | None]:
        return [one.step for one in selected(run, wanted, ranked)]  # type: ignore[arg-type]

    assert steps(Selector(best=2), backwards) == [500, 1500]
    assert steps(Selector(best=9), backwards) == [500, 1000, 1500]
    assert steps(Selector(steps=(1500, 500, 1500))) == [500, 1500]
    assert steps(Selector(every=1000)) == [1000]
    assert steps(Selector(last=2)) == [1000, 1500]
    with pytest.raises(CheckpointNotFoundError, match="step 7"):
        steps(Selector(steps=(500, 7)))
    with pytest.raises(CheckpointNotFoundError, match="none of its checkpoints"):
        steps(Selector(every=999))


# listing


def test_runs_below_a_folder_and_not_too_deep(tmp_path: Path) -> None:
    for place in ("a", "b/c", "b/d/e", "1/2/3/4/5", "1/2/3/4/5b/6", ".hidden/x"):
        EXAMPLES["diffusers"].make(tmp_path / place)
    found = [os.path.relpath(run.path, tmp_path) for run in runs_below(str(tmp_path))]
    assert found == ["1/2/3/4/5", "a", "b/c", "b/d/e"]


def test_sizes_are_told_by_kind_and_count_hard_links_once(tmp_path: Path) -> None:
    run = made("accelerate", tmp_path / "run")
    first = Path(run.checkpoints[0].path)
    before = sizes_of(run)
    assert before.models == 3 * 7
    assert before.states == 9 * 7
    assert before.adapters == 7
    assert before.made == 0
    assert before.total == sum(
        path.stat().st_size for path in first.parents[1].rglob("*.*") if path.is_file()
    )
    pipeline = tmp_path / "run/checkpoint_pipelines/checkpoint-500/unet"
    pipeline.mkdir(parents=True)
    for name in ("a.safetensors", "b.safetensors"):
        os.link(first / "model.safetensors", pipeline / name)
    (pipeline / "c").symlink_to(first / "model.safetensors")
    touch(pipeline / "own", "four")
    after = sizes_of(runs_in(run.path)[0])
    assert after.total == before.total + 4 + len(os.readlink(pipeline / "c"))
    assert sizes_by_checkpoint(run)[str(first)].total == 7 * 4


def test_a_run_among_others_takes_what_is_its_own(tmp_path: Path) -> None:
    kohya(tmp_path)
    touch(tmp_path / "downloaded.safetensors", "x" * 100)
    checkpoint(tmp_path / "checkpoint_pipelines/checkpoint-2", "model_index.json")
    assert sizes_of(runs_in(str(tmp_path))[0]) == (4 * 7, 0, 2 * 7, 7, 0)
    touch(tmp_path / "other-000001.safetensors", "x" * 100)
    style = next(run for run in runs_in(str(tmp_path)) if run.name == "style")
    assert sizes_of(style) == (4 * 7, 0, 2 * 7, 0, 0)
    assert sizes_by_checkpoint(style)[str(tmp_path / "style-000010.safetensors")].states == 14


def test_what_was_made_beside_checkpoints_is_known_by_name(tmp_path: Path) -> None:
    run = made("accelerate", tmp_path / "run")
    folder = Path(run.checkpoints[0].path)
    touch(folder / "model_kohya.safetensors")
    touch(folder / "pytorch_lora_weights.safetensors")
    touch(folder / "model_peft/adapter_model.safetensors")
    checkpoint(tmp_path / "run/checkpoint_pipelines/checkpoint-1000", "model_index.json")
    touch(tmp_path / "run/checkpoint_loras/checkpoint-1500_kohya.safetensors")
    first, second, third = conversions_beside(run).values()
    assert set(first) == {"kohya", "diffusers", "peft"}
    assert (second, third) == (("pipeline",), ("kohya",))
    assert sizes_of(run).made == 2 * 7

    style = made("kohya", tmp_path / "kohya")
    touch(tmp_path / "kohya/style-000004_diffusers/pytorch_lora_weights.safetensors")
    touch(tmp_path / "kohya/style-000004_kohya.safetensors")
    assert [*conversions_beside(style).values()][1] in {
        ("diffusers", "kohya"),
        ("kohya", "diffusers"),
    }
    plain = made("diffusers", tmp_path / "plain")
    assert set(conversions_beside(plain).values()) == {()}
    touch(tmp_path / "plain/checkpoint-500/pytorch_lora_weights_kohya.safetensors")
    assert next(iter(conversions_beside(plain).values())) == ("kohya",)


def test_the_best_is_that_of_the_lowest_loss(tmp_path: Path) -> None:
    run = made("accelerate", tmp_path)
    with pytest.raises(CheckpointNotFoundError, match="no loss is recorded"):
        resolved(f"{run.path}@best")
    metrics(tmp_path, {500: 0.3, 1000: 0.1, 1500: 0.2})
    assert resolved(f"{run.path}@best") == run.checkpoints[1].path


@given(
    st.lists(
        st.sampled_from(
            [
                "checkpoint",
                "-",
                "0",
                "00001",
                "9" * 20,
                "step",
                "save",
                "backup",
                "_",
                ".",
                "\u0661",
                "\n",
                "@",
                "{}",
                "{x}",
                ".safetensors",
                "-state",
                "epoch",
            ]
        ),
        min_size=1,
        max_size=9,
    ).map("".join)
)
def test_any_names_are_read(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for place in (
            folder,
            *(os.path.join(folder, part) for part in ("save", "backup", "checkpoints")),
        ):
            os.makedirs(os.path.join(place, "checkpoint-5", name), exist_ok=True)
            with suppress(IsADirectoryError):
                touch(Path(place, f"{name}.safetensors"))
        for run in runs_in(folder):
            assert run.checkpoints
            assert sizes_of(run).total >= 0
            assert set(conversions_beside(run)) == {one.path for one in run.checkpoints}
            for one in run.checkpoints:
                assert Path(one.source).is_relative_to(folder)
