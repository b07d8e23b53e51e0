"""Indexes of sharded checkpoints: what they may name, and what must be there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lora_convert
from lora_convert.errors import CorruptCheckpointError
from tests.hostile.answering import answer
from tests.storage.making import adapter_tensors, content

NAMES = list(adapter_tensors())
HALF = len(NAMES) // 2


def sharded(folder: Path, *, second: list[str] | None = None, **index: Any) -> Path:
    """Two shards and their index; `second` are the tensors of the second, `index` replaces its fields."""
    tensors = adapter_tensors()
    first, rest = NAMES[:HALF], NAMES[HALF:] if second is None else second
    files = {"model-00001-of-00002.safetensors": first, "model-00002-of-00002.safetensors": rest}
    for file, names in files.items():
        (folder / file).write_bytes(content({name: tensors[name] for name in names}))
    fields = {
        "metadata": {},
        "weight_map": {name: file for file, names in files.items() for name in names},
    }
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(fields | index))
    return path


def test_sound_shards_are_one_checkpoint(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    for path in (index, tmp_path):
        found = lora_convert.inspect(str(path))
        assert (found.container, found.explained) == ("sharded safetensors", 8)
    result = lora_convert.convert(str(tmp_path), "diffusers", output=str(tmp_path / "out"))
    assert result.proof is not None
    assert result.proof.exact


@pytest.mark.parametrize(
    "name",
    [
        "../secret.safetensors",
        "/etc/passwd",
        "sub/model.safetensors",
        "..\\secret.safetensors",
        "C:\\Windows\\x.safetensors",
        "C:x.safetensors",
        "\\\\server\\share\\x",
        "..",
        ".",
        "",
        "a\0b.safetensors",
        "a\nb.safetensors",
        "\u202etxt.safetensors",
        7,
        None,
        ["x"],
    ],
)
def test_an_index_names_files_of_its_own_folder_only(name: object, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.safetensors").write_bytes(content(adapter_tensors()))
    index = sharded(tmp_path / "inside", weight_map={NAMES[0]: name})
    with pytest.raises(CorruptCheckpointError, match="weight_map"):
        lora_convert.inspect(str(index))
    assert answer(["inspect", str(index)]).exit_code == 1


@pytest.mark.parametrize("weight_map", [None, [], {}, "model.safetensors", 3])
def test_an_index_without_a_map_is_refused(weight_map: object, tmp_path: Path) -> None:
    index = sharded(tmp_path, weight_map=weight_map)
    with pytest.raises(CorruptCheckpointError, match="has no weight_map"):
        lora_convert.inspect(str(index))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        CorruptCheckpointError, match=r"'model-00002-of-00002\.safetensors' is not there"
    ):
        lora_convert.inspect(str(index))
    assert answer(["inspect", str(index)]).exit_code == 1


def test_a_key_in_two_shards_is_refused(tmp_path: Path) -> None:
    index = sharded(tmp_path, second=NAMES[HALF - 1 :])
    with pytest.raises(CorruptCheckpointError, match="is in another file too"):
        lora_convert.inspect(str(index))


def test_a_key_that_no_shard_holds_is_refused(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    fields = json.loads(index.read_text())
    fields["weight_map"]["gone.lora_A.weight"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(fields))
    with pytest.raises(CorruptCheckpointError, match="lists 1 tensors that no shard holds"):
        lora_convert.inspect(str(index))


def test_a_cut_shard_is_named(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(
        CorruptCheckpointError, match=r"model-00002-of-00002\.safetensors: .* ends at"
    ):
        lora_convert.inspect(str(index))


@pytest.mark.parametrize(
    "index",
    ["{", "[]", '{"weight_map": {"a": "../b"}}', '{"weight_map": {"a": "gone.safetensors"}}'],
)
def test_a_broken_index_beside_an_adapter_is_no_hindrance(index: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").write_bytes(content(adapter_tensors()))
    (tmp_path / "model.safetensors.index.json").write_text(index)
    found = lora_convert.inspect(str(tmp_path))
    assert found.format == "peft"
    assert [Path(path).name for path in found.passed_over] == ["model.safetensors.index.json"]


@pytest.mark.parametrize("index", ["{", '{"weight_map": {"a": "gone.safetensors"}}'])
def test_a_broken_index_alone_is_refused(index: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CorruptCheckpointError, match="index"):
        lora_convert.inspect(str(tmp_path))


def test_half_of_a_model_is_never_taken_for_a_whole(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CorruptCheckpointError, match="is not there"):
        lora_convert.inspect(str(tmp_path))
