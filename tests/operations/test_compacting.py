"""Compacting: what is left rebuilds every byte, and everything reads as before."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lora_convert.cli._app import main
from lora_convert.errors import LoraConvertError
from lora_convert.operations.compact_plan import plan_compact
from lora_convert.operations.restoring import plan_restore
from lora_convert.storage.compacted import BASES
from tests.pipelines import WEIGHTS, contents, tree, wrapped, write_base, write_wrapped_run
from tests.storage.faults import failing

STEPS = (500, 1000, 1500)


def cast_base(folder: Path, dtype: str) -> Path:
    """A base whose UNet is of a narrower dtype."""
    write_base(folder)
    path = folder / "unet" / WEIGHTS["unet"]
    if dtype == "bfloat16":
        import torch
        from safetensors.torch import save_file as save_torch

        tensors = {k: torch.tensor(v).bfloat16() for k, v in load_file(path).items()}
        save_torch(tensors, path, {"format": "pt"})
    else:
        save_file({k: v.astype(dtype) for k, v in load_file(path).items()}, path)
    return folder


def as_torch(run: Path) -> None:
    """The same run, saved with torch: weights in a payload beside an optimizer's state."""
    import torch

    for folder in (run / "checkpoints").iterdir():
        path = folder / "model.safetensors"
        weights = {k: torch.tensor(v) for k, v in load_file(path).items()}
        state = {"state": {0: {"exp_avg": torch.rand(300, 300)}}}
        torch.save({"model_state_dict": weights, "optimizer": state}, folder / "pytorch_model.bin")
        path.unlink()


def digests(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Content, mode and time of every file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.lstat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            name = str(path.relative_to(folder))
            found[name] = (digest, status.st_mode, status.st_mtime_ns)
    return found


def is_base(name: str) -> bool:
    return Path(name).parent.name == BASES and len(Path(name).name) == 64


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base")


@pytest.fixture
def run(tmp_path: Path, base: Path) -> Path:
    return write_wrapped_run(tmp_path / "run", base, base)


def saved_by_torch(run: Path) -> Path:
    as_torch(run)
    return run


def unknown_base(run: Path) -> Path:
    (run / "run.json").write_text('{"state": "finished"}')
    return run


SAVED: dict[str, Callable[[Path], Path]] = {
    "safetensors": lambda run: run,
    "torch": saved_by_torch,
    "unknown base": unknown_base,
    "torch, unknown base": lambda run: saved_by_torch(unknown_base(run)),
}


@pytest.mark.parametrize("saved", SAVED)
def test_a_run_is_compacted_and_comes_back_to_the_byte(run: Path, saved: str) -> None:
    SAVED[saved](run)
    before = digests(run)
    plan = plan_compact(str(run))
    assert {item.status for item in plan.items} == {"planned"}
    done = [*plan.apply()]
    assert [item.status for item in done] == ["compacted"] * 3, done
    for planned, item in zip(plan.items, done, strict=True):
        assert not os.path.exists(item.path)
        assert abs(planned.kept - item.kept) < 200, "a recipe says size, time and mode too"
    left = digests(run)
    assert sum((run / name).stat().st_size for name in left if is_base(name)) == plan.added
    for item in done:
        folder = Path(item.path).parent
        ours = [p for p in folder.iterdir() if p.name not in before and p.stat().st_size > 64]
        assert sum(path.stat().st_size for path in ours) == item.kept
    others = {name: value for name, value in before.items() if "model" not in name}
    assert others.items() <= left.items(), "other files were touched"
    restored = [*plan_restore(str(run)).apply()]
    assert [item.status for item in restored] == ["restored"] * 3
    assert digests(run) == before
    assert not (run / BASES).exists()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_base_of_a_narrower_dtype_is_widened(tmp_path: Path, dtype: str) -> None:
    base = cast_base(tmp_path / "base", dtype)
    narrow = load_widened(base)
    run = write_wrapped_run(tmp_path / "run", base, narrow)
    before = digests(run)
    done = [*plan_compact(str(run)).apply()]
    assert [(item.status, item.base) for item in done] == [("compacted", str(base))] * 3, done
    stored = [path for path in (run / BASES).iterdir() if len(path.name) == 64]
    unet = (base / "unet" / WEIGHTS["unet"]).read_bytes()
    assert [path.read_bytes() for path in stored] == [unet]
    assert [item.status for item in plan_restore(str(run)).apply()] == ["restored"] * 3
    assert digests(run) == before


def load_widened(base: Path) -> Path:
    """A base with the same numbers in fp32, to wrap."""
    import torch
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    folder = base.parent / "wide"
    (folder / "unet").mkdir(parents=True)
    tensors = load_torch(base / "unet" / WEIGHTS["unet"])
    wide = {key: value.to(torch.float32) for key, value in tensors.items()}
    save_torch(wide, folder / "unet" / WEIGHTS["unet"])
    return folder


def said(path: Path, capsys: pytest.CaptureFixture[str]) -> object:
    capsys.readouterr()
    assert command("inspect", path, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_inspect_and_convert_say_the_same_as_before(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run / "checkpoints/checkpoint-500"
    places = [folder, folder / "model.safetensors", f"{run}@500"]
    before = [said(Path(place), capsys) for place in places]
    assert command("to-kohya", folder, "-o", tmp_path / "before.safetensors") == 0
    assert command("compact", run, "--yes") == 0
    assert [said(Path(place), capsys) for place in places] == before
    assert command("to-kohya", folder, "-o", tmp_path / "after.safetensors") == 0
    one, other = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    assert one.read_bytes() == other.read_bytes()
    assert command("verify", folder, other) == 0
    assert command("inspect", folder, "--health") == 0


def test_batch_takes_compacted_checkpoints_for_what_they_were(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("batch", run) == 0
    made = contents(run / "checkpoint_pipelines")
    assert command("compact", run, "--yes") == 0
    capsys.readouterr()
    assert command("batch", run) == 0
    assert "Skipped 3" in capsys.readouterr().err
    assert command("batch", run, "--force") == 0
    again = contents(run / "checkpoint_pipelines")
    weights = [name for name in made if name.endswith(".safetensors")]
    assert weights
    assert {name: again[name] for name in weights} == {name: made[name] for name in weights}


def test_runs_list_compacted_checkpoints_as_before(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lora_convert.operations.runs import runs_in

    before = runs_in(str(run))
    assert command("compact", run, "--yes") == 0
    assert runs_in(str(run)) == before


def test_a_checkpoint_with_a_trained_base_is_left_as_it_is(run: Path, base: Path) -> None:
    path = run / "checkpoints/checkpoint-1000/model.safetensors"
    tensors = load_file(path)
    tensors["base_model.model.rest.weight"][-1, -1] += 1
    save_file(tensors, path)
    before = path.read_bytes()
    done = [*plan_compact(str(run), base=str(base)).apply()]
    assert [item.status for item in done] == ["compacted", "left", "compacted"]
    assert "rest.weight" in done[1].why
    assert path.read_bytes() == before
    names = {entry.name for entry in path.parent.iterdir()}
    assert names == {"model.safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl"}


def test_a_base_that_is_not_the_runs_is_refused(run: Path, tmp_path: Path) -> None:
    other = write_base(tmp_path / "other")
    path = other / "unet" / WEIGHTS["unet"]
    save_file({key: value + 1 for key, value in load_file(path).items()}, path)
    before = tree(run)
    assert command("compact", run, "--base", other, "--yes") == 1
    assert tree(run) == before


def test_links_are_left_alone(run: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    folder = run / "checkpoints/checkpoint-500"
    (folder / "model.safetensors").rename(away)
    (folder / "model.safetensors").symlink_to(away)
    twin = run / "checkpoints/checkpoint-1000/model.safetensors"
    os.link(twin, tmp_path / "twin")
    before = away.read_bytes(), twin.read_bytes()
    done = {Path(item.path).parent.name: item for item in plan_compact(str(run)).apply()}
    assert done["checkpoint-500"].status == done["checkpoint-1000"].status == "left"
    assert done["checkpoint-1500"].status == "compacted"
    assert (away.read_bytes(), twin.read_bytes()) == before
    assert (folder / "model.safetensors").is_symlink()


def test_a_file_that_changed_since_the_plan_stays(run: Path, base: Path) -> None:
    plan = plan_compact(str(run))
    path = run / "checkpoints/checkpoint-500/model.safetensors"
    save_file(wrapped(base, 77), path)
    changed = path.read_bytes()
    done = [*plan.apply()]
    assert [item.status for item in done] == ["left", "compacted", "compacted"], done
    assert path.read_bytes() == changed


def test_an_adapter_alone_has_nothing_to_give_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.pipelines import write_adapter

    folder = write_adapter(tmp_path / "adapter", 1)
    before = tree(folder)
    assert command("compact", folder) == 0
    assert "holds no frozen base" in capsys.readouterr().out
    assert tree(folder) == before


def test_nothing_is_done_where_nobody_can_be_asked(run: Path) -> None:
    before = tree(run)
    assert command("compact", run) == 2
    assert command("compact", run, "--dry-run") == 0
    assert tree(run) == before
    assert command("compact", run, "--yes") == 0
    compacted = tree(run)
    assert command("restore", run) == 2
    assert command("restore", run, "--dry-run") == 0
    assert tree(run) == compacted


def test_resume_state_goes_to_the_trash_and_comes_back(run: Path) -> None:
    before = digests(run)
    state = {name for name in before if name.endswith((".pkl", "optimizer.bin", "scheduler.bin"))}
    one = {name for name in state if "checkpoint-500" in name}
    assert command("compact", f"{run}@500", "--drop-resume-state", "--yes") == 0
    assert {name for name in state if not (run / name).exists()} == one
    assert command("compact", run, "--drop-resume-state", "--yes") == 0
    assert not any((run / name).exists() for name in state)
    assert command("trash", "undo", run) == command("trash", "undo", run) == 0
    assert command("restore", run, "--yes") == 0
    assert digests(run) == before


def test_a_run_that_trains_is_left_alone(run: Path) -> None:
    (run / "run.json").write_text('{"state": "running", "pid": 1, "host": "elsewhere"}')
    before = tree(run)
    assert command("compact", run, "--yes") == 5
    assert tree(run) == before
    assert command("compact", run, "--yes", "--force") == 0


def test_again_is_unchanged(run: Path) -> None:
    assert command("compact", run, "--yes") == 0
    before = tree(run)
    assert command("compact", run, "--yes") == 0
    assert tree(run) == before


def test_a_stale_recipe_goes_to_the_trash(run: Path, base: Path) -> None:
    """Training wrote the same step again beside what had been compacted."""
    from lora_convert.operations.sharing import TRASH
    from lora_convert.storage.trash import Trash

    assert command("compact", f"{run}@500", "--yes") == 0
    folder = run / "checkpoints/checkpoint-500"
    recipe = (folder / "model.safetensors.recipe").read_bytes()
    save_file(wrapped(base, 99), folder / "model.safetensors")
    wanted = (folder / "model.safetensors").read_bytes()
    assert command("compact", f"{run}@500", "--yes", "--force") == 0
    assert (folder / "model.safetensors.recipe").read_bytes() != recipe
    (item,) = Trash(str(run), TRASH).items()
    assert sorted(os.path.basename(entry.name) for entry in item.entries) == [
        "model.adapter.safetensors",
        "model.safetensors.recipe",
    ]
    assert command("restore", run, "--yes") == 0
    assert (folder / "model.safetensors").read_bytes() == wanted


def test_runs_check_rebuilds_what_is_compacted(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("compact", run, "--yes") == 0
    capsys.readouterr()
    assert command("runs", "check", run) == 0
    assert "3 compacted files" in capsys.readouterr().out
    recipe = run / "checkpoints/checkpoint-500/model.safetensors.recipe"
    data = bytearray(recipe.read_bytes())
    data[-20] ^= 1
    recipe.write_bytes(data)
    assert command("runs", "check", run) == 1
    assert f"damaged: {recipe.with_suffix('')}: would be rebuilt" in capsys.readouterr().out


def test_restore_with_the_base_given_again(run: Path, base: Path, tmp_path: Path) -> None:
    before = digests(run)
    assert command("compact", run, "--yes") == 0
    (run / BASES).rename(tmp_path / "lost")
    assert command("inspect", run / "checkpoints/checkpoint-500") == 1
    assert command("restore", run, "--yes") == 1
    assert command("restore", run, "--base", base, "--yes") == 0
    assert digests(run) == before


def test_restore_refuses_a_base_that_was_changed(run: Path) -> None:
    assert command("compact", run, "--yes") == 0
    (entry,) = [path for path in (run / BASES).iterdir() if len(path.name) == 64]
    data = bytearray(entry.read_bytes())
    data[-1] ^= 1
    entry.chmod(0o644)
    entry.write_bytes(data)
    before = tree(run)
    assert command("restore", run, "--yes") == 1
    assert tree(run) == before


def test_restore_replaces_no_other_file(run: Path) -> None:
    assert command("compact", run, "--yes") == 0
    path = run / "checkpoints/checkpoint-500/model.safetensors"
    path.write_bytes(b"mine")
    assert command("restore", run, "--yes") == 3
    assert path.read_bytes() == b"mine"
    assert (path.parent / "model.safetensors.recipe").exists()


def test_what_a_compacted_checkpoint_is_made_of_is_never_written_over(run: Path) -> None:
    assert command("compact", run, "--yes") == 0
    folder = run / "checkpoints/checkpoint-500"
    before = tree(run)
    for name in ("model.safetensors", "model.adapter.safetensors", "model.safetensors.recipe"):
        assert command("to-kohya", folder, "-o", folder / name, "--force") in {1, 5}
    assert tree(run) == before


def test_the_adapter_is_one_that_others_load(run: Path) -> None:
    whole = load_file(run / "checkpoints/checkpoint-500/model.safetensors")
    assert command("compact", run, "--yes") == 0
    adapter = load_file(run / "checkpoints/checkpoint-500/model.adapter.safetensors")
    assert adapter.keys() == {name for name in whole if "lora_" in name}
    assert all(np.array_equal(adapter[name], whole[name]) for name in adapter)


def failing_calls() -> list[str]:
    calls = ["pwrite", "fsync", "open", "rename", "unlink", "mkdir", "copy_file_range", "utime"]
    return [name for name in calls if hasattr(os, name)]


@pytest.mark.parametrize("call", failing_calls())
def test_a_disk_that_fails_costs_nothing(tmp_path: Path, base: Path, call: str) -> None:
    """Each writing call fails once, with all that follow; then the disk is well again."""
    run = write_wrapped_run(tmp_path / "run", base, base, (500,))
    before = digests(run)
    for after in range(40):
        with failing(call, errno.ENOSPC, after) as count:
            try:
                compacted = [item.status for item in plan_compact(str(run)).apply(force=True)]
            except LoraConvertError:
                compacted = []
        with failing(call, errno.EIO, after) as count_of_restore, suppress(LoraConvertError):
            [*plan_restore(str(run)).apply()]
        [*plan_compact(str(run)).apply(force=True)]
        assert [one.status for one in plan_restore(str(run)).apply()] == ["restored"]
        assert digests(run) == before, (call, after)
        assert {entry.name for entry in run.iterdir()} == {"checkpoints", "run.json"}
        if max(count[0], count_of_restore[0]) <= after:
            break
    else:
        pytest.fail("it did not end")
    assert compacted == ["compacted"]


class Meddler:
    """Something that happens to a file once most of it has been compared."""

    def __init__(self, size: int, act: Callable[[], object]) -> None:
        self.left = size - 1
        self.act = act

    def __call__(self, done: int) -> None:
        before, self.left = self.left, self.left - done
        if before >= 0 > self.left:
            self.act()


def replaced(path: Path, data: bytes, times: os.stat_result) -> None:
    other = path.with_name("other")
    other.write_bytes(data)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)


def written(path: Path, data: bytes, times: os.stat_result) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def linked(path: Path, data: bytes, times: os.stat_result) -> None:
    aside = path.parent.parent / "aside"
    path.rename(aside)
    aside.write_bytes(data)
    os.utime(aside, ns=(times.st_atime_ns, times.st_mtime_ns))
    path.symlink_to(aside)


def behind_a_link(path: Path, data: bytes, times: os.stat_result) -> None:
    aside = path.parent.parent / "aside"
    path.parent.rename(aside)
    path.parent.symlink_to(aside)
    written(path, data, times)


@pytest.mark.parametrize("how", [replaced, written, linked, behind_a_link])
def test_what_changes_at_the_last_moment_stays(
    tmp_path: Path, base: Path, how: Callable[[Path, bytes, os.stat_result], None]
) -> None:
    """Same length, same time: another file, other bytes, a link, or a folder that became one."""
    run = write_wrapped_run(tmp_path / "run", base, base, (500,))
    path = run / "checkpoints/checkpoint-500/model.safetensors"
    data, times = bytearray(path.read_bytes()), path.stat()
    data[-1] ^= 1
    plan = plan_compact(str(run))
    meddler = Meddler(plan.size, lambda: how(path, bytes(data), times))
    (item,) = plan.apply(meddler)
    assert meddler.left < 0
    assert item.status == "left", item
    assert path.read_bytes() == data
