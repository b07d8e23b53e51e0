"""Where bytes are, by kind, run and checkpoint; what would free them; and what a batch would need."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from lora_convert.errors import CheckpointNotFoundError, NotEnoughSpaceError
from lora_convert.operations.batch import Wanted, plan_batch, run_batch
from lora_convert.operations.estimating import check_room, estimates
from lora_convert.operations.file_kinds import KINDS, kind_of_file, kind_of_folder
from lora_convert.operations.pieces import Options
from lora_convert.operations.space import Space, space
from lora_convert.operations.tasks import do
from lora_convert.storage import atomic, hashes, store
from tests.operations.run_examples import EXAMPLES, MORE, STATE, metrics, touch
from tests.pipelines import tree, write_base, write_checkpoint, write_run
from tests.storage.test_disk_usage import du
from tests.writing import NAMES, peft_folder

TINY = Path(__file__).resolve().parents[2] / "fixtures" / "tiny-run"
MIB = 1 << 20
posix = pytest.mark.skipif(os.name == "nt", reason="Windows tells sizes instead of blocks")


def disk(path: Path) -> int:
    return path.lstat().st_blocks * 512


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*"))


def freed(found: Space, word: str) -> int:
    """By the command that has a word in it; 0 where none has."""
    return sum(step.frees for step in found.plan if word in step.command)


def check_sums(found: Space) -> None:
    """Every byte is counted once."""
    assert found.bytes == sum(found.kinds.values())
    assert found.bytes == sum(use.bytes for use in (*found.runs, *found.elsewhere))
    for run in found.runs:
        assert run.bytes == sum(run.kinds.values())
        assert sum(one.bytes for one in run.inner) <= run.bytes
    assert {*found.kinds} <= {*KINDS}


def frozen(path: Path) -> int:
    """Bytes of a wrapped model's frozen tensors, as safetensors' own library reads them."""
    tensors = load_file(path)
    return sum(tensor.nbytes for key, tensor in tensors.items() if ".lora_" not in key)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "base")


@pytest.fixture
def run(tmp_path: Path, base: Path) -> Path:
    return write_run(tmp_path / "my-run", base)


def make(run: Path, **how: object) -> list[int]:
    """A batch; the bytes that each pipeline took."""
    options = Options(**{"dtype": "keep", **how})  # type: ignore[arg-type]
    outcomes = [*run_batch(plan_batch([str(run)], Wanted(options)), lambda tasks: map(do, tasks))]
    assert {outcome.status for outcome in outcomes} == {"converted"}
    return [outcome.fields["written"] for outcome in outcomes]


@pytest.mark.parametrize("tool", EXAMPLES | MORE)
@posix
def test_runs_of_every_tool(tool: str, tmp_path: Path) -> None:
    example = (EXAMPLES | MORE)[tool]
    example.make(tmp_path / "run")
    found = space([tmp_path], plan=True)
    check_sums(found)
    assert found.bytes == du(tmp_path)
    [use] = found.runs
    assert use.tool == (example.tool or tool)
    assert len(use.inner) == len(example.counts) + bool(example.final)
    states = [
        path
        for path in (tmp_path / "run").rglob("*")
        if path.name in STATE or path.name in {"optimizer.pt", "rng_state.pth", "scheduler.pt"}
    ]
    resume = use.kinds.get("resume", 0) + sum(e.kinds.get("resume", 0) for e in found.elsewhere)
    assert resume >= sum(map(disk, states))


@posix
def test_frozen_copies_are_told_by_the_header(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "run")
    found = space([tmp_path], plan=True)
    check_sums(found)
    assert found.bytes == du(tmp_path)
    models = sorted((tmp_path / "run").rglob("model.safetensors"))
    assert len(models) == 2
    counts = {model: frozen(model) for model in models}
    assert found.kinds["frozen"] == sum(counts.values()) > 0
    [use] = found.runs
    by_name = {one.path: one for one in use.inner}
    for model, count in counts.items():
        one = by_name[str(model.parent)]
        assert one.kinds["frozen"] == count
        assert one.kinds["adapters"] == disk(model) - count
    assert freed(found, "compact") == sum(counts.values()) - max(counts.values())


@posix
def test_a_run_that_has_its_base_frees_all_copies(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "run")
    touch(tmp_path / "run/compacted_bases/abc", "x" * 10_000)
    first = tmp_path / "run/checkpoints/checkpoint-500"
    (first / "model.safetensors").unlink()
    peft_folder(tmp_path / "made")
    shutil.move(tmp_path / "made/adapter_model.safetensors", first / "model.adapter.safetensors")
    touch(first / "model.safetensors.recipe", "recipe")
    found = space([tmp_path / "run"], plan=True)
    check_sums(found)
    assert found.kinds["bases"] >= disk(first / "model.safetensors.recipe") + disk(
        tmp_path / "run/compacted_bases/abc"
    )
    other = tmp_path / "run/checkpoints/checkpoint-1000/model.safetensors"
    assert freed(found, "compact") == frozen(other)


def test_shards_are_one_model(tmp_path: Path) -> None:
    tensors = load_file(TINY / "checkpoints/checkpoint-500/model.safetensors")
    plain = [key for key in tensors if ".base_layer." not in key and ".lora_" not in key]
    names = {key: f"model-0000{1 if key in plain else 2}-of-00002.safetensors" for key in tensors}
    folder = tmp_path / "run/checkpoints/checkpoint-500"
    folder.mkdir(parents=True)
    for name in {*names.values()}:
        save_file({key: tensors[key] for key, its in names.items() if its == name}, folder / name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    expected = sum(tensor.nbytes for key, tensor in tensors.items() if ".lora_" not in key)
    assert space([tmp_path]).kinds["frozen"] == expected


@posix
def test_torch_files_too(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = load_file(TINY / "checkpoints/checkpoint-500/model.safetensors")
    folder = tmp_path / "checkpoints/checkpoint-500"
    folder.mkdir(parents=True)
    state = {key: torch.from_numpy(tensor) for key, tensor in tensors.items()}
    torch.save(state, folder / "pytorch_model.bin")
    base = {key.replace(".base_layer", ""): state[key] for key in state if ".lora_" not in key}
    torch.save(base, tmp_path / "base.ckpt")
    torch.save({key: state[key] for key in state if ".lora_" in key}, tmp_path / "style.pt")
    found = space([tmp_path])
    expected = sum(tensor.nbytes for key, tensor in tensors.items() if ".lora_" not in key)
    assert found.kinds["frozen"] == expected
    whole = disk(folder / "pytorch_model.bin")
    assert found.kinds["adapters"] == disk(tmp_path / "style.pt") + whole - expected
    assert found.kinds["models"] == disk(tmp_path / "base.ckpt")


def wrapped(path: Path, *, side: int) -> int:
    """A wrapped model whose data is a hole; returns the bytes of its frozen weights."""
    entries: dict[str, object] = {}
    at = count = 0
    for name in NAMES:
        for suffix, shape in (
            ("base_layer.weight", (side, side)),
            ("lora_A.default.weight", (4, side)),
            ("lora_B.default.weight", (side, 4)),
        ):
            size = 4 * shape[0] * shape[1]
            key = f"base_model.model.{name}.{suffix}"
            entries[key] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
            at += size
            count += size if "base" in suffix else 0
    head = json.dumps(entries).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + at)
    return count


@posix
def test_nothing_but_headers_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terabytes of frozen weights; what a file does not take on the disk, it does not count for."""
    for step in (500, 1000, 1500):
        path = tmp_path / f"run/checkpoints/checkpoint-{step}/model.safetensors"
        assert wrapped(path, side=1 << 18) > 1 << 39
    read = Counter[str]()
    real_read, real_pread = os.read, os.pread

    def counting(descriptor: int, size: int, *where: int) -> bytes:
        data = (real_pread if where else real_read)(descriptor, size, *where)
        read["bytes"] += len(data)
        return data

    monkeypatch.setattr(os, "read", counting)
    monkeypatch.setattr(os, "pread", counting)
    found = space([tmp_path], plan=True)
    assert found.bytes == du(tmp_path) < 1 << 20
    assert read["bytes"] < 1 << 20
    assert found.kinds["frozen"] == sum(map(disk, tmp_path.rglob("model.safetensors")))


def test_broken_weights_are_counted_by_their_name(tmp_path: Path) -> None:
    hostile = Path(__file__).resolve().parents[2] / "fixtures" / "hostile"
    shutil.copytree(hostile, tmp_path / "hostile")
    (tmp_path / "hostile/checkpoint-1").mkdir()
    (tmp_path / "hostile/checkpoint-1/model.safetensors").write_bytes(b"\xff" * 100)
    huge = tmp_path / "hostile/huge.safetensors"
    huge.write_bytes((1 << 60).to_bytes(8, "little") + b'{"a.base_layer.weight')
    wrapped(tmp_path / "cut.safetensors", side=64)
    os.truncate(tmp_path / "cut.safetensors", 900)
    check_sums(space([tmp_path], plan=True))


@posix
def test_hard_links_count_once_and_keep_what_they_name(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run/checkpoints/checkpoint-500"
    (tmp_path / "run/checkpoints/checkpoint-1000").mkdir(parents=True)
    peft_folder(checkpoint)
    peft_folder(tmp_path / "run/checkpoints/checkpoint-1000")
    state = checkpoint / "optimizer.bin"
    state.write_bytes(os.urandom(500_000))
    for place in ("run/checkpoints/checkpoint-1000/optimizer.bin", "run/kept.dat"):
        os.link(state, tmp_path / place)
    alone = checkpoint / "scheduler.bin"
    alone.write_bytes(os.urandom(100_000))
    os.link(alone, checkpoint / "scheduler_0.bin")
    found = space([tmp_path], plan=True)
    check_sums(found)
    assert found.bytes == du(tmp_path)
    assert found.linked == 2 * disk(state) + disk(alone)
    assert freed(found, "--drop-resume-state") == 100_000  # the other has a name that stays
    (tmp_path / "run/kept.dat").unlink()
    both = freed(space([tmp_path], plan=True), "--drop-resume-state")
    assert both == 600_000


@posix
def test_pipelines_and_what_they_share(run: Path) -> None:
    make(run)
    found = space([run], plan=True)
    check_sums(found)
    assert found.bytes == du(run)
    entries = store.entries(str(run / "checkpoint_pipelines/.shared"))
    assert found.kinds["shared"] >= sum(disk(Path(entry.path)) for entry in entries)
    assert found.kinds["pipelines"] > 0
    assert freed(found, "--unused") == 0
    shutil.rmtree(run / "checkpoint_pipelines/checkpoint-500")
    for path in (*run.glob("checkpoint_pipelines/checkpoint-*"), run / "final_pipeline"):
        shutil.rmtree(path)
    found = space([run], plan=True)
    assert freed(found, "--unused") == sum(entry.size for entry in entries) > 0


@posix
def test_pruning(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    for step in range(100, 600, 100):
        write_checkpoint(run, step)
        (run / f"checkpoints/checkpoint-{step}/optimizer.bin").write_bytes(os.urandom(50_000))
    peft_folder(run / "lora_weights")
    folders = {step: run / f"checkpoints/checkpoint-{step}" for step in range(100, 600, 100)}
    found = space([run], plan=True)
    assert freed(found, "--keep-last 3") == sum(size_of(folders[step]) for step in (100, 200))
    assert freed(found, "--drop-resume-state") == 5 * 50_000
    [step] = [step for step in found.plan if "--keep-last" in step.command]
    assert step.command == f"lora-convert prune '{run}' --keep-last 3"
    assert step.lost.startswith("2 of 5 checkpoints")
    metrics(run, {100: 0.1, 200: 0.9, 300: 0.2, 400: 0.3, 500: 0.9})
    found = space([run], plan=True)
    assert freed(found, "--keep-best 3") == size_of(folders[200])
    gains = [step.frees for step in found.plan]
    assert gains == sorted(gains, reverse=True)


@posix
def test_the_trash_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_checkpoint(run, 500)
    touch(run / ".trash/2026/checkpoints/checkpoint-100/optimizer.bin", "x" * 100_000)
    found = space([tmp_path], plan=True)
    assert found.kinds["trash"] == du(run / ".trash") == freed(found, f"trash empty {run}")
    assert freed(found, "--drop-resume-state") == 0


@posix
def test_duplicates(tmp_path: Path) -> None:
    data = os.urandom(2 * MIB)
    files = {
        "a.bin": data,
        "inner/b.dat": data,
        "c.dat": os.urandom(2 * MIB),
        "d": data[: MIB // 2],
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    os.utime(tmp_path / "inner/b.dat", (1, 1))
    os.link(tmp_path / "a.bin", tmp_path / "e.bin")
    (tmp_path / "f").symlink_to(tmp_path / "a.bin")
    (tmp_path / "g").write_bytes(data[: MIB // 2])
    found = space([tmp_path], plan=True)
    [group] = found.duplicates
    assert group.paths == (str(tmp_path / "inner/b.dat"), str(tmp_path / "a.bin"))
    assert group.frees == disk(tmp_path / "a.bin")
    [step] = found.plan
    assert step.command == f"rm -- {tmp_path}/a.bin"
    assert not space([tmp_path], compare=False).duplicates


@posix
def test_what_was_made_here_is_not_to_be_removed_by_hand(tmp_path: Path) -> None:
    data = os.urandom(2 * MIB)
    for name in ("checkpoint_pipelines/a/unet.dat", "checkpoint_pipelines/b/unet.dat"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(data)
    found = space([tmp_path], plan=True)
    assert len(found.duplicates) == 1
    assert not found.plan


@posix
def test_several_paths_are_walked_once(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run, target_is_directory=True)
    whole = space([tmp_path])
    assert whole.bytes == du(tmp_path)
    several = space([tmp_path, run, run / "checkpoints", tmp_path / "link", tmp_path])
    assert several == whole._replace(free=several.free)
    both = space([run / "checkpoints", run / "lora_weights"])
    assert both.bytes == du(run / "checkpoints") + du(run / "lora_weights")


def test_the_current_folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = space([run])
    monkeypatch.chdir(run)
    found = space(["."])
    assert found.bytes == outside.bytes
    [use] = found.runs
    assert [one.kinds for one in use.inner] == [one.kinds for one in outside.runs[0].inner]
    assert found.elsewhere == ()
    monkeypatch.chdir(run.parent)
    assert [use.path for use in space(["."]).runs] == [run.name]


def test_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(CheckpointNotFoundError, match=path.name):
            space([path])


def test_kinds_by_name() -> None:
    told = {
        "adapters": ["adapter_model.safetensors", "style.pt", "lora.ckpt"],
        "resume": ["optimizer.bin", "random_states_0.pkl", "scheduler.pt", "rng_state_1.pth"],
        "samples": ["sample_500.png", "clip.mp4"],
        "logs": ["events.out.tfevents.17.host.1.0", "metrics.jsonl", "train.log"],
        "caches": ["image_0512x0768_sd.npz", "module.cpython-311.pyc"],
        "bases": ["model.safetensors.recipe"],
        "other": ["README.md", "run.json", "noext", "a.part"],
    }
    assert {name: kind_of_file(name) for names in told.values() for name in names} == {
        name: kind for kind, names in told.items() for name in names
    }
    folders = {
        "pipelines": ["checkpoint_pipelines", "final_pipeline", "style-final_pipeline"],
        "shared": [".shared"],
        "bases": ["compacted_bases"],
        "trash": [".trash"],
        "resume": ["style-000010-state", "optimizer_0"],
        "samples": ["samples", "validation"],
        "logs": ["logs", "wandb", "tensorboard"],
        "caches": [".cache", "__pycache__", "latents", "_latent_cache", "cache_512"],
        "": ["checkpoints", "checkpoint-500", "state", "lora_weights", "catalogs"],
    }
    assert {name: kind_of_folder(name) for names in folders.values() for name in names} == {
        name: kind for kind, names in folders.items() for name in names
    }


@posix
def test_an_estimate_is_what_the_batch_takes(run: Path) -> None:
    before = tree(run)
    wanted = Wanted(Options(dtype="keep"), formats=("kohya",))
    [found] = estimates(plan_batch([str(run)], wanted))
    assert tree(run) == before
    assert len(found.outputs) == 8
    assert not any(one.problem for one in found.outputs)
    apart = du(run)
    outcomes = [*run_batch(plan_batch([str(run)], wanted), lambda tasks: map(do, tasks))]
    written = sum(one.fields.get("written") or one.fields["bytes"] for one in outcomes)
    documents = sum(path.stat().st_size for path in run.rglob("checkpoint_metadata.json"))
    assert found.needed == written - documents
    assert found.needed <= du(run) - apart
    [again] = estimates(plan_batch([str(run)], wanted))
    assert (again.needed, again.outputs) == (0, ())


def test_one_checkpoint_more_needs_nothing_shared_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "_SETTLED", 0)
    make(run)
    write_checkpoint(run, 2000)
    [found] = estimates(plan_batch([str(run)], Wanted(Options(dtype="keep"))))
    [new] = found.outputs
    assert (found.shared, found.needed) == (0, new.own)
    assert new.shared > new.own > 0


def test_copies_are_counted_for_each(run: Path) -> None:
    [linked], [copied] = (
        estimates(plan_batch([str(run)], Wanted(Options(link=link))))  # type: ignore[arg-type]
        for link in ("hardlink", "copy")
    )
    assert copied.shared == linked.shared
    assert copied.own == linked.own + 4 * linked.shared


def test_what_cannot_be_planned_is_said(tmp_path: Path) -> None:
    peft_folder(tmp_path / "run/checkpoints/checkpoint-1")
    touch(tmp_path / "run/checkpoints/checkpoint-2/adapter_model.safetensors", "broken")
    [found] = estimates(plan_batch([str(tmp_path / "run")], Wanted(Options())))
    assert [bool(one.problem) for one in found.outputs] == [True, True]
    assert found.needed == 0
    check_room([found])


def test_room_is_that_of_all_runs_on_a_disk(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [str(write_run(tmp_path / name, base)) for name in ("first", "second")]
    found = estimates(plan_batch(runs, Wanted(Options())))
    needed = sum(one.needed for one in found)
    monkeypatch.setattr(atomic, "free_space", lambda folder: needed)
    check_room(found)
    monkeypatch.setattr(atomic, "free_space", lambda folder: needed - 1)
    with pytest.raises(NotEnoughSpaceError) as caught:
        check_room(found)
    assert (caught.value.needed, caught.value.free) == (needed, needed - 1)
    assert f"lora-convert space {runs[0]} --plan" in caught.value.hint
