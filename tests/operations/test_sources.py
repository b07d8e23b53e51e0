"""Which file of a folder is read, and which is never written."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from pathlib import Path

import pytest
from safetensors.numpy import save_file

import lora_convert as lc
from lora_convert.errors import (
    AmbiguousCheckpointError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    DestinationExistsError,
    NotExpressibleError,
    UnknownFormatError,
)
from tests.writing import factors, kohya, peft_folder, spelled


def test_adapter_model_comes_before_the_others(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "run")
    save_file(spelled("unet."), folder / "pytorch_lora_weights.safetensors")
    save_file(spelled(infix=".default"), folder / "model.safetensors")
    found = lc.inspect(folder)
    assert found.weights.endswith("adapter_model.safetensors")
    assert {Path(name).name for name in found.passed_over} == {
        "pytorch_lora_weights.safetensors",
        "model.safetensors",
    }


def test_a_lora_beside_the_shards_of_its_base_is_found_and_the_rest_named(tmp_path: Path) -> None:
    shards = {
        f"model-0000{n}-of-00002.safetensors": {f"layer.{n}.weight": factors()[0]} for n in (1, 2)
    }
    for name, tensors in shards.items():
        save_file(tensors, tmp_path / name)
    weight_map = {key: name for name, tensors in shards.items() for key in tensors}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    save_file(kohya(), tmp_path / "style.safetensors")
    found = lc.inspect(tmp_path)
    assert (found.format, Path(found.weights).name) == ("kohya", "style.safetensors")
    assert [Path(name).name for name in found.passed_over] == ["model.safetensors.index.json"]


def test_shards_are_read_as_one(tmp_path: Path) -> None:
    tensors = spelled(infix=".default")
    parts = [dict(list(tensors.items())[:3]), dict(list(tensors.items())[3:])]
    weight_map = {}
    for number, part in enumerate(parts, 1):
        name = f"model-0000{number}-of-00002.safetensors"
        save_file(part, tmp_path / name)
        weight_map |= dict.fromkeys(part, name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    for source in (tmp_path, index):
        found = lc.inspect(source)
        assert (found.format, found.modules, found.container) == (
            "accelerate",
            4,
            "sharded safetensors",
        )
    assert lc.convert(tmp_path, "diffusers", output=tmp_path / "out").proof.exact


def test_two_adapters_of_one_rank_are_an_error_that_lists_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_file(kohya(), tmp_path / f"{name}.safetensors")
    with pytest.raises(AmbiguousCheckpointError, match="2 files") as caught:
        lc.inspect(tmp_path)
    assert caught.value.choices == ("one.safetensors", "two.safetensors")


def test_the_output_is_never_the_next_source(tmp_path: Path) -> None:
    save_file(kohya(), tmp_path / "style.safetensors")
    first = lc.convert(tmp_path, "diffusers")
    assert lc.convert(tmp_path, "diffusers").status == "unchanged"
    assert first.plan["source"] == str(tmp_path / "style.safetensors")
    other = tmp_path / "other"
    other.mkdir()
    save_file(spelled("unet."), other / "my.safetensors")
    assert lc.convert(other, "kohya").output == str(other / "my_kohya.safetensors")
    assert lc.convert(other, "kohya").status == "unchanged"


def test_second_models_of_accelerate_are_named_alike(tmp_path: Path) -> None:
    save_file(spelled(infix=".default"), tmp_path / "model.safetensors")
    save_file({"conv_in.weight": factors()[0]}, tmp_path / "model_1.safetensors")
    assert Path(lc.inspect(tmp_path).weights).name == "model.safetensors"
    save_file(spelled(infix=".default"), tmp_path / "model_1.safetensors")
    with pytest.raises(AmbiguousCheckpointError):
        lc.inspect(tmp_path)
    assert lc.inspect(tmp_path / "model_1.safetensors").format == "accelerate"


def test_a_folder_of_components_is_one_source_everywhere(tmp_path: Path) -> None:
    text = tuple(f"text_model.encoder.layers.0.self_attn.{n}_proj" for n in "qkv")
    tensors = {**spelled("unet."), **spelled("text_encoder.", names=text)}
    source = tmp_path / "both.safetensors"
    save_file(tensors, source)
    parts = lc.convert(source, "peft", output=tmp_path / "parts").output
    assert {p.parent.name for p in Path(parts).rglob("*.safetensors")} == {"unet", "text_encoder"}
    assert lc.inspect(parts).components == ("text_encoder", "unet")
    assert lc.verify(source, parts).exact
    assert lc.convert(parts, "kohya").status == "written"
    assert lc.convert(parts, "kohya").status == "unchanged"
    with pytest.raises(NotExpressibleError, match="folder"):
        lc.convert(source, "peft", output=tmp_path / "one.safetensors")


def test_the_source_is_never_the_output_not_even_by_force(tmp_path: Path) -> None:
    source = tmp_path / "pytorch_lora_weights.safetensors"
    save_file(kohya(), source)
    before = source.read_bytes(), source.stat().st_mtime_ns
    with pytest.raises(DestinationExistsError, match="source"):
        lc.convert(source, "diffusers", force=True)
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before


def test_another_file_under_the_name_is_kept_without_force(tmp_path: Path) -> None:
    source = tmp_path / "style.safetensors"
    save_file(kohya(), source)
    output = tmp_path / "out.safetensors"
    output.write_text("precious")
    with pytest.raises(DestinationExistsError) as caught:
        lc.convert(source, "diffusers", output=output)
    assert caught.value.exit_code == 5
    assert output.read_text() == "precious"
    assert lc.convert(source, "diffusers", output=output, force=True).status == "written"
    assert lc.inspect(output).format == "diffusers"


def test_folders_without_weights_say_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match="no weights"):
        lc.inspect(tmp_path)
    peft_folder(tmp_path / "checkpoints" / "checkpoint-500")
    peft_folder(tmp_path / "checkpoints" / "checkpoint-1000")
    with pytest.raises(CheckpointNotFoundError, match="checkpoint-1000"):
        lc.inspect(tmp_path)
    with pytest.raises(AmbiguousCheckpointError) as caught:
        lc.inspect(tmp_path / "checkpoints")
    assert caught.value.choices == ("checkpoint-500", "checkpoint-1000")


def test_several_adapters_of_one_file_ask_which(tmp_path: Path) -> None:
    source = tmp_path / "model.safetensors"
    save_file({**spelled(infix=".cats", rank=2), **spelled(infix=".dogs")}, source)
    assert lc.inspect(source).adapters == ("cats", "dogs")
    with pytest.raises(AmbiguousCheckpointError, match="2 adapters") as caught:
        lc.convert(source, "diffusers")
    assert caught.value.choices == ("cats", "dogs")
    for name, rank in (("cats", 2), ("dogs", 4)):
        result = lc.convert(source, "diffusers", output=tmp_path / name, adapter=name)
        assert lc.inspect(result.output).ranks == {str(rank): 4}
    with pytest.raises(AmbiguousCheckpointError, match="no adapter"):
        lc.convert(source, "diffusers", adapter="birds")


@pytest.mark.parametrize("name", ["checkpoint-500", "checkpoint-3-1500"])
def test_checkpoint_folders_are_read_whatever_lies_beside_the_weights(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    save_file(
        spelled("_orig_mod.base_model.model.", infix=".default"), folder / "model.safetensors"
    )
    (folder / "state.json").write_text(json.dumps({"epoch": 3, "global_step": 1500}))
    for sibling in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl", "scaler.pt"):
        (folder / sibling).write_bytes(b"not for us")
    assert lc.convert(folder, "diffusers").proof.exact


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "module._orig_mod.", "base_model.model.base_model.model."],
)
def test_wrappers_are_no_part_of_a_name(tmp_path: Path, prefix: str) -> None:
    save_file(spelled(prefix, infix=".default"), tmp_path / "a.safetensors")
    save_file(spelled("unet."), tmp_path / "b.safetensors")
    assert lc.verify(tmp_path / "a.safetensors", tmp_path / "b.safetensors").exact


def test_the_width_of_attention_tells_text_encoders_apart(tmp_path: Path) -> None:
    names = tuple(f"text_model.encoder.layers.0.self_attn.{n}_proj" for n in "qkv")
    for width, component in ((768, "text_encoder"), (1280, "text_encoder_2")):
        tensors = {
            key: factors(4, width)["lora_B" in key]
            for key in spelled("base_model.model.", names=names)
        }
        save_file(tensors, tmp_path / "adapter_model.safetensors")
        assert lc.inspect(tmp_path).components == (component,)


def test_a_whole_model_is_called_that(tmp_path: Path) -> None:
    save_file(
        {"conv_in.weight": factors()[0], "conv_in.bias": factors()[0][0]},
        tmp_path / "m.safetensors",
    )
    with pytest.raises(UnknownFormatError, match="whole model without an adapter"):
        lc.convert(tmp_path / "m.safetensors", "diffusers")


def test_one_shard_alone_is_said_to_be_one_of_several(tmp_path: Path) -> None:
    path = tmp_path / "model-00002-of-00003.safetensors"
    save_file(spelled(infix=".default"), path)
    with lc.plan_convert(path, "diffusers") as plan:
        assert any("file 2 of 3" in note for note in plan.notes)


def test_a_text_file_is_called_that(tmp_path: Path) -> None:
    path = tmp_path / "notes.safetensors"
    path.write_text("Trained on Tuesday, 500 steps.\n")
    with pytest.raises(CorruptCheckpointError, match="text file"):
        lc.inspect(path)


def test_hashes_that_are_not_those_of_the_weights_are_told(tmp_path: Path) -> None:
    """kohya's own hash: sha256 of everything after the header."""
    source = tmp_path / "model.safetensors"
    save_file(kohya(), source)
    data = source.read_bytes()
    digest = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()
    right = {"sshs_model_hash": digest, "modelspec.hash_sha256": f"0x{digest}"}
    save_file(kohya(), source, metadata=right)
    health = lc.inspect(source, health=True).health
    assert health is not None and health.false_hashes == ()
    save_file(kohya(), source, metadata=right | {"sshs_model_hash": "0" * 64})
    health = lc.inspect(source, health=True).health
    assert health is not None and health.false_hashes == ("sshs_model_hash",)
    assert not health.healthy


def test_what_has_no_checksums_is_never_called_checked(tmp_path: Path) -> None:
    source = tmp_path / "model.safetensors"
    save_file(kohya(), source)
    assert lc.inspect(source).integrity == (0, 0)


def test_a_folder_of_many_files_is_looked_through_one_by_one(tmp_path: Path) -> None:
    for number in range(40):
        save_file(kohya(), tmp_path / f"{number:02}.safetensors")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 8, limit[1]))
    try:
        with pytest.raises(AmbiguousCheckpointError) as caught:
            lc.inspect(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert len(caught.value.choices) == 40


def test_containers_of_other_names_are_of_one_rank(tmp_path: Path) -> None:
    """Of one name safetensors comes first; files of other names are as good in any container."""
    torch = pytest.importorskip("torch")
    save_file(kohya(), tmp_path / "a.safetensors")
    weights = {name: torch.from_numpy(array) for name, array in kohya().items()}
    torch.save(weights, tmp_path / "a.pt")
    found = lc.inspect(tmp_path)
    assert Path(found.weights).name == "a.safetensors"
    assert [Path(name).name for name in found.passed_over] == ["a.pt"]
    torch.save(weights, tmp_path / "b.pt")
    with pytest.raises(AmbiguousCheckpointError) as caught:
        lc.inspect(tmp_path)
    assert caught.value.choices == ("a.safetensors", "b.pt")


def test_a_shard_beside_its_index_stands_for_all(tmp_path: Path) -> None:
    tensors = spelled("unet.")
    names = sorted(tensors)
    parts = {f"model-0000{n}-of-00002.safetensors": names[n - 1 :: 2] for n in (1, 2)}
    for file, held in parts.items():
        save_file({name: tensors[name] for name in held}, tmp_path / file)
    one = str(tmp_path / "model-00001-of-00002.safetensors")
    assert lc.inspect(one).total == len(parts[Path(one).name])
    weight_map = {name: file for file, held in parts.items() for name in held}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    found = lc.inspect(one)
    assert (found.total, found.weights) == (len(tensors), str(index))
