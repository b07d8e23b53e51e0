"""Pipelines: what they are made from, what refuses them, how their files come, what is told of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lora_convert.errors import (
    BaseMismatchError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    DestinationExistsError,
    HubError,
    LoraConvertError,
    NotEnoughSpaceError,
    OptionError,
    ShapeError,
    UnexplainedKeysError,
)
from lora_convert.operations import assembling
from lora_convert.operations.assembling import Assembled, Assembly
from lora_convert.operations.pieces import Options, options_of
from lora_convert.operations.pipeline import plan_pipeline
from lora_convert.storage import atomic, hashes, linking
from lora_convert.storage.linking import Abilities
from tests.hostile.answering import answer
from tests.pipelines import (
    INDEX,
    WEIGHTS,
    component,
    contents,
    lora,
    tree,
    write_adapter,
    write_base,
    write_run,
)
from tests.writing import NAMES, factors


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "base")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("adapters") / "casual-shoes", 3)


def make(
    source: Path | str,
    output: Path,
    base: Path | str | None,
    *,
    store: Path | None = None,
    force: bool = False,
    hashed: bool = False,
    **options: Any,
) -> Assembled:
    named = None if base is None else str(base)
    with plan_pipeline(source, base=named, output=output, options=Options(**options)) as plan:
        kept = str(store) if store else None
        return Assembly(plan, kept).run(force=force, whole_files=hashed)


def unet(output: Path) -> dict[str, np.ndarray]:
    """The UNet's weights, whatever files they are in."""
    return {
        key: value
        for path in (output / "unet").glob("*.safetensors")
        for key, value in load_file(path).items()
    }


def merged(seed: int, scale: float = 1.0, **base: Any) -> dict[str, np.ndarray]:
    """What the UNet must be, worked out here."""
    expected = component("unet", **base)
    for number, name in enumerate(NAMES):
        down, up = factors(4, seed=100 * seed + number)
        weight = expected[f"{name}.weight"].astype("float32")
        added = weight + scale * 2 * (up @ down)
        expected[f"{name}.weight"] = added.astype(expected[f"{name}.weight"].dtype)
    return expected


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        wide, other = found[name].astype("float32"), value.astype("float32")
        np.testing.assert_allclose(wide, other, rtol=2 * np.finfo(value.dtype).eps, atol=1e-6)


@pytest.mark.parametrize("layout", ["split", "full"])
@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1.0), ("float16", 0.5)])
def test_every_weight_is_there_and_merged_once(
    layout: str, dtype: str, scale: float, adapter: Path, tmp_path: Path
) -> None:
    base = write_base(tmp_path / "base", dtype=dtype)
    before = tree(base)
    done = make(adapter, tmp_path / "out", base, layout=layout, scale=scale)
    assert_close(unet(tmp_path / "out"), merged(3, scale, dtype=dtype))
    assert done.plan["merged"] == 4
    for name in ("vae/config.json", "model_index.json", "vae/diffusion_pytorch_model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (base / name).read_bytes()
    assert tree(base) == before


# what refuses


def _no_target(base: Path, source: Path) -> None:
    tensors = component("unet")
    del tensors[f"{NAMES[0]}.weight"]
    save_file(tensors, base / "unet" / WEIGHTS["unet"])


def _wrong_shape(base: Path, source: Path) -> None:
    save_file(component("unet", width=16), base / "unet" / WEIGHTS["unet"])


def _no_component(base: Path, source: Path) -> None:
    tensors = lora(1)
    down, up = factors()
    name = "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"
    tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
    save_file(tensors, source / "adapter_model.safetensors")
    (source / "adapter_config.json").unlink()


def _unexplained(base: Path, source: Path) -> None:
    file = source / "adapter_model.safetensors"
    save_file({**load_file(file), "surprise.weight": np.zeros((2, 2), "float32")}, file)


def _no_weights(base: Path, source: Path) -> None:
    (base / "vae" / WEIGHTS["vae"]).unlink()


def _one_shard(base: Path, source: Path) -> None:
    weights = base / "text_encoder" / WEIGHTS["text_encoder"]
    weights.rename(weights.with_name("model.fp16-00001-of-00002.safetensors"))


def _missing_component(base: Path, source: Path) -> None:
    shutil.rmtree(base / "scheduler")


def _no_index(base: Path, source: Path) -> None:
    (base / "model_index.json").unlink()


def _cut(base: Path, source: Path) -> None:
    file = base / "unet" / WEIGHTS["unet"]
    file.write_bytes(file.read_bytes()[:-4])


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_no_target, BaseMismatchError),
        (_wrong_shape, ShapeError),
        (_no_component, BaseMismatchError),
        (_unexplained, UnexplainedKeysError),
        (_no_weights, CorruptCheckpointError),
        (_one_shard, CorruptCheckpointError),
        (_missing_component, CorruptCheckpointError),
        (_no_index, CheckpointNotFoundError),
        (_cut, CorruptCheckpointError),
    ],
)
def test_nothing_is_written_that_would_be_less(
    spoil: Callable[[Path, Path], None], error: type[LoraConvertError], tmp_path: Path
) -> None:
    base = write_base(tmp_path / "base")
    source = write_adapter(tmp_path / "adapter", 1)
    spoil(base, source)
    before = tree(tmp_path)
    with pytest.raises(error) as raised:
        make(source, tmp_path / "new/out", base)
    assert raised.value.hint
    assert tree(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_nothing_names_a_base(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match="nothing says what the base"):
        make(adapter, tmp_path / "out", None)


@pytest.mark.parametrize(
    "options",
    [
        (float("nan"), None, "split", "auto"),
        (float("inf"), None, "split", "auto"),
        (0.0, None, "split", "auto"),
        (1.0, "fp8", "split", "auto"),
        (1.0, None, "half", "auto"),
        (1.0, None, "split", "soft"),
    ],
)
def test_options_that_cannot_be(options: tuple[float, str | None, str, str]) -> None:
    with pytest.raises(OptionError):
        options_of(*options)


# what is there already


def test_unchanged_it_is_left_alone(adapter: Path, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert make(adapter, out, base).status == "written"
    before = tree(tmp_path)
    assert make(adapter, out, base).status == "unchanged"
    assert tree(tmp_path) == before
    with pytest.raises(DestinationExistsError):
        make(adapter, out, base, scale=0.5)
    assert tree(tmp_path) == before
    assert make(adapter, out, base, scale=0.5, force=True).status == "written"
    assert_close(unet(out), merged(3, 0.5))
    assert make(adapter, out, base, scale=0.5, force=True).status == "written"
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_what_else_is_there_stays(adapter: Path, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(adapter, out, base, layout="full")
    make(adapter, out, base, force=True)
    (out / "vae/mine.txt").write_text("mine")
    with pytest.raises(DestinationExistsError, match="exists already"):
        make(adapter, out, base, layout="full", force=True)
    assert (out / "vae/mine.txt").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DestinationExistsError):
        make(adapter, tmp_path / "file", base, force=True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("place", ["base", ".", "link", "adapter", "base/unet"])
def test_it_never_takes_the_place_of_what_it_is_made_from(place: str, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    source = write_adapter(tmp_path / "adapter", 1)
    (tmp_path / "link").symlink_to(base)
    before = tree(tmp_path)
    with pytest.raises(OptionError, match="output"):
        make(source, tmp_path / place, base, force=True)
    assert tree(tmp_path) == before


def test_an_edited_document_is_no_reason(adapter: Path, base: Path, tmp_path: Path) -> None:
    make(adapter, tmp_path / "out", base)
    (tmp_path / "out/scheduler/scheduler_config.json").write_text('{"mine": true}')
    assert make(adapter, tmp_path / "out", base).status == "unchanged"


# how files come


@pytest.mark.parametrize("link", ["auto", "hardlink", "symlink", "copy"])
def test_ways_from_a_store(link: str, adapter: Path, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    store = tmp_path / "run/.shared"
    before = tree(base)
    done = make(adapter, tmp_path / "run/one", base, store=store, link=link)
    make(write_adapter(tmp_path / "b", 4), tmp_path / "run/two", base, store=store, link=link)
    assert tree(base) == before
    assert {path.stat().st_nlink for path in base.rglob("*") if path.is_file()} == {1}
    shard = "unet/diffusion_pytorch_model-00001-of-00002.safetensors"
    one, two = (tmp_path / "run" / name / shard for name in ("one", "two"))
    assert one.samefile(two) == (link != "copy")
    assert one.is_symlink() == (link == "symlink")
    if link == "symlink":
        assert not os.path.isabs(os.readlink(one))
    assert set(done.placed) <= {"written", "copy", {"auto": "hardlink"}.get(link, link)}
    assert_close(unet(tmp_path / "run/one"), merged(3))
    assert_close(unet(tmp_path / "run/two"), merged(4))


@pytest.mark.parametrize("link", ["auto", "symlink", "copy"])
def test_ways_from_the_base(link: str, adapter: Path, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    make(adapter, tmp_path / "out", base, link=link)
    weights = tmp_path / "out/vae" / WEIGHTS["vae"]
    original = base / "vae" / WEIGHTS["vae"]
    assert original.stat().st_nlink == 1
    assert weights.is_symlink() == (link == "symlink")
    assert weights.samefile(original) == (link == "symlink")


def test_no_hard_links_to_what_is_not_ours(adapter: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="hardlink"):
        make(adapter, tmp_path / "new/out", base, link="hardlink")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("link", ["reflink", "hardlink", "symlink"])
@pytest.mark.parametrize("shared", [True, False])
def test_ways_that_this_disk_has_not(
    link: str,
    shared: bool,
    adapter: Path,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linking, "abilities", lambda source, folder: Abilities(False, False, False))
    store = tmp_path / "run/.shared" if shared else None
    with pytest.raises(OptionError, match=link) as refused:
        make(adapter, tmp_path / "run/out", base, store=store, link=link)
    assert "--link copy" in refused.value.hint
    assert not [*tmp_path.iterdir()]
    done = make(adapter, tmp_path / "run/out", base, store=store)
    assert set(done.placed) == {"copy", "written"}
    assert_close(unet(tmp_path / "run/out"), merged(3))


def test_a_disk_without_room_is_refused_before(
    adapter: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plan_pipeline(adapter, base=str(base), output=tmp_path / "out") as plan:
        cost = Assembly(plan).cost()
    monkeypatch.setattr(atomic, "free_space", lambda folder: cost - 1)
    with pytest.raises(NotEnoughSpaceError, match=f"needs {cost:,} bytes, {cost - 1:,} are free"):
        make(adapter, tmp_path / "out", base)
    assert not [*tmp_path.iterdir()]
    monkeypatch.setattr(atomic, "free_space", lambda folder: cost)
    assert make(adapter, tmp_path / "out", base).status == "written"


def test_the_cost_is_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "_SETTLED", 0)
    base = write_base(tmp_path / "base")
    for number, link in enumerate(("auto", "copy", "auto")):
        out = tmp_path / f"run/{number}"
        options = Options(link=link)  # type: ignore[arg-type]
        source = write_adapter(tmp_path / f"a{number}", number)
        with plan_pipeline(source, base=str(base), output=out, options=options) as plan:
            assembly = Assembly(plan, str(tmp_path / "run/.shared"))
            cost = assembly.cost()
            done = assembly.run()
        assert 0 <= done.written - cost < 4096


def test_a_dry_run_writes_nothing(adapter: Path, base: Path, tmp_path: Path) -> None:
    command = ["pipeline", str(adapter), "--base", str(base), "-o", str(tmp_path / "new/out")]
    for more in ([], ["--json"], ["-q"], ["--link", "copy"]):
        told = answer([*command, "--dry-run", *more])
        assert told.exit_code == 0
    assert not [*tmp_path.iterdir()]
    refused = answer([*command, "--dry-run", "--link", "hardlink"])
    assert refused.exit_code == 2


# bases of all kinds


def _snapshot(base: Path) -> Path:
    """As the Hub's cache has it: links to blobs."""
    root = base.parent / "hub/models--owner--tiny"
    at = root / "snapshots" / ("ab" * 20)
    (root / "blobs").mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs/main").write_text("ab" * 20)
    for path in [*base.rglob("*")]:
        if path.is_file():
            blob = root / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
            shutil.copy2(path, blob)
            link = at / path.relative_to(base)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    return at


def _read_only(base: Path) -> Path:
    for path in base.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return base


def _variant(base: Path) -> Path:
    for name, file in WEIGHTS.items():
        path = base / name / file
        path.rename(path.with_name(file.replace(".safetensors", ".fp16.safetensors")))
    return base


def _both_variants(base: Path) -> Path:
    for name, file in WEIGHTS.items():
        halved = {key: value.astype("float16") * 0 for key, value in component(name).items()}
        save_file(halved, base / name / file.replace(".safetensors", ".fp16.safetensors"))
    return base


def _shards(base: Path) -> Path:
    for name in ("unet", "vae"):
        tensors = component(name)
        stem = WEIGHTS[name].removesuffix(".safetensors")
        places = {}
        for number, keys in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), 1):
            shard = f"{stem}-{number:05}-of-00002.safetensors"
            save_file({key: tensors[key] for key in keys}, base / name / shard)
            places |= dict.fromkeys(keys, shard)
        index = {"metadata": {"total_size": 1}, "weight_map": places}
        (base / name / f"{WEIGHTS[name]}.index.json").write_text(json.dumps(index))
        (base / name / WEIGHTS[name]).unlink()
    return base


def _torch(base: Path) -> Path:
    torch = pytest.importorskip("torch")
    names = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
    for name, file in WEIGHTS.items():
        tensors = {key: torch.from_numpy(value) for key, value in component(name).items()}
        torch.save(tensors, base / name / f"{names.get(name, 'pytorch_model')}.bin")
        (base / name / file).unlink()
    return base


def _other_weights(base: Path) -> Path:
    for name in WEIGHTS:
        (base / name / "flax_model.msgpack").write_bytes(b"flax")
    (base / "tiny-pruned.safetensors").write_bytes(b"a file of its own")
    (base / "README.md").write_text("of the base")
    return base


KINDS = [_snapshot, _read_only, _variant, _both_variants, _shards, _torch, _other_weights]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shared", [True, False])
def test_bases_of_all_kinds(
    kind: Callable[[Path], Path], shared: bool, adapter: Path, tmp_path: Path
) -> None:
    base = kind(write_base(tmp_path / "base"))
    before = tree(base)
    out, store = tmp_path / "run/out", tmp_path / "run/.shared" if shared else None
    make(adapter, out, base, store=store)
    assert_close(unet(out), merged(3))
    assert tree(base) == before
    assert not [path for path in out.rglob("*") if path.is_symlink()]
    vae: dict[str, np.ndarray] = {}
    for path in (out / "vae").glob("*.safetensors"):
        vae |= load_file(path)
    np.testing.assert_array_equal(vae["rest.weight"], component("vae")["rest.weight"])
    for name, file in WEIGHTS.items():
        names = {path.name for path in (out / name).iterdir()}
        assert names & {file, f"{file}.index.json"}, names
        assert not [name for name in names if name.endswith((".bin", ".msgpack"))]
        assert not [name for name in names if ".fp16." in name]
    assert not (out / "tiny-pruned.safetensors").exists()
    assert json.loads((out / "model_index.json").read_text()) == INDEX


@pytest.mark.parametrize("prefix", ["text_model.", ""])
def test_text_encoders_under_both_their_names(prefix: str, tmp_path: Path) -> None:
    """transformers 5 saves them without the ``text_model.`` of earlier ones."""
    base = write_base(tmp_path / "base")
    module = "encoder.layers.0.self_attn.q_proj"
    weight = np.eye(8, dtype="float32")
    save_file({f"{prefix}{module}.weight": weight}, base / "text_encoder" / WEIGHTS["text_encoder"])
    down, up = factors()
    flat = f"lora_te_text_model_{module.replace('.', '_')}"
    tensors = {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
    save_file(lora(1) | tensors, tmp_path / "lora.safetensors")
    make(tmp_path / "lora.safetensors", tmp_path / "out", base)
    found = load_file(tmp_path / "out/text_encoder" / WEIGHTS["text_encoder"])
    np.testing.assert_allclose(found[f"{prefix}{module}.weight"], weight + up @ down, rtol=1e-6)


# which base


def test_who_names_the_base(base: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "my-run", base, (500,))
    alone = write_adapter(tmp_path / "alone", 1, base_model_name_or_path=str(base))
    sources = {f"{run}@500": "the run", str(alone): "the adapter's configuration"}
    for number, (source, who) in enumerate(sources.items()):
        told = answer(["pipeline", source, "-o", str(tmp_path / f"out{number}")])
        assert told.exit_code == 0
        assert f"base {base}, which {who} names" in told.stderr
    told = answer(["pipeline", f"{run}@500", "--base", str(base), "-o", str(tmp_path / "out")])
    assert "which" not in told.stderr


def test_a_repository_in_the_cache(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = _snapshot(write_base(tmp_path / "base"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    before = tree(tmp_path / "hub")
    make(adapter, tmp_path / "out", "owner/tiny")
    assert tree(tmp_path / "hub") == before
    said = json.loads((tmp_path / "out/checkpoint_metadata.json").read_text())["base"]
    assert (said["name"], said["revision"], said["path"]) == ("owner/tiny", "ab" * 20, str(at))
    run = write_run(tmp_path / "run", "owner/tiny", (500,))
    told = answer(["batch", str(run)])
    assert "base owner/tiny, which the run names" in told.stderr
    assert told.exit_code == 0
    assert "Skipped 2" in answer(["batch", str(run)]).stderr
    assert tree(tmp_path / "hub") == before
    weights = at / "unet" / WEIGHTS["unet"]
    other = component("unet")
    other["conv_in.bias"] = other["conv_in.bias"] + 1
    weights.unlink()
    save_file(other, weights)
    assert "Converted 2" in answer(["batch", str(run)]).stderr
    (at / "vae" / WEIGHTS["vae"]).unlink()
    with pytest.raises(HubError):
        make(adapter, tmp_path / "part", "owner/tiny")


@pytest.mark.parametrize(
    ("name", "error", "code"),
    [
        ("owner/none", HubError, 1),
        ("no/such/folder", CheckpointNotFoundError, 2),
        ("./none", CheckpointNotFoundError, 2),
    ],
)
def test_bases_that_are_nowhere(
    name: str,
    error: type[Exception],
    code: int,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(error) as raised:
        make(adapter, tmp_path / "out", name)
    assert isinstance(raised.value, LoraConvertError)
    assert (raised.value.exit_code, "--base" in raised.value.hint) == (code, True)
    assert not (tmp_path / "out").exists()


def test_a_file_alone_is_no_base(adapter: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="config") as raised:
        make(adapter, tmp_path / "out", base / "unet" / WEIGHTS["unet"])
    assert "--config" in raised.value.hint
    assert not (tmp_path / "out").exists()


# what is told


def test_the_document(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_adapter(tmp_path / "casual-shoes/checkpoints/checkpoint-500", 3)
    counted: list[str] = []
    original = assembling.digest_of

    def digest(store: str, path: str) -> str:
        counted.append(path)
        return original(store, path)

    monkeypatch.setattr(assembling, "digest_of", digest)
    make(source, tmp_path / "run/out", base, store=tmp_path / "run/.shared", hashed=True, scale=0.5)
    said = json.loads((tmp_path / "run/out/checkpoint_metadata.json").read_text())
    assert said["display_name"] == "Casual Shoes (Step 500)"
    assert said["description"]
    assert (said["step"], said["format"], said["architecture"]) == (500, "peft", "sd1")
    assert said["scale"] == {"factors": [2.0], "source": ["config"], "times": 0.5}
    counts = {"modules": 4, "merged": 4, "untouched": 2, "own": 0, "unexplained": 0}
    assert said["counts"] == counts
    file = source / "adapter_model.safetensors"
    assert said["source"]["path"] == str(file)
    assert len(said["source"]["sha256"]) == 64
    assert said["source"]["files"] == {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}
    for name in (f"{name}/{file}" for name, file in WEIGHTS.items()):
        digest_of_file = hashlib.sha256((base / name).read_bytes()).hexdigest()
        assert said["base"]["files"][name] == digest_of_file
    assert counted
    listed = {*said["files"], *said["documents"], "checkpoint_metadata.json"}
    assert listed == set(contents(tmp_path / "run/out"))
    assert str(tmp_path) not in json.dumps([said["files"], said["documents"]])


def test_hashes_without_a_store_leave_nothing_behind(
    adapter: Path, base: Path, tmp_path: Path
) -> None:
    make(adapter, tmp_path / "out", base, hashed=True)
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    said = json.loads((tmp_path / "out/checkpoint_metadata.json").read_text())
    assert len(said["base"]["files"]) == 9


def test_equal_inputs_give_equal_bytes(adapter: Path, base: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make(adapter, tmp_path / name, base)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
