"""What a file on the Hub is, is told from a few kB of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.numpy import save

from tests.hub.endpoint import Endpoint
from tests.hub.session import commands
from tests.hub.sparse import MODULES, write_sparse
from tests.writing import kohya, spelled

SIZE = 3_000_000_000
SLACK = 64_000


@pytest.mark.parametrize(
    ("alphas", "modules", "read"),
    [
        ("first", MODULES, True),
        ("first", 24, True),
        ("between", MODULES, False),
        ("between", 12, False),
    ],
)
def test_of_3_gb_the_header_and_64_kb_are_fetched_by_4_requests(
    endpoint: Endpoint, tmp_path: Path, alphas: str, modules: int, read: bool
) -> None:
    file = tmp_path / "large.safetensors"
    header = write_sparse(file, SIZE, alphas=alphas, modules=modules)
    endpoint.repository("user/large").put("large.safetensors", file)
    address = "hf://user/large/large.safetensors"
    asked = [["inspect", address, "--json"], ["inspect", address], ["inspect", "-q", address]]
    as_usual = {"HF_HUB_DISABLE_TELEMETRY": "0"}  # the client's own requests count too
    [done] = commands(endpoint, tmp_path / "home", asked[:1], **as_usual)
    assert done.exit_code == 0, done.said
    found = json.loads(done.stdout)
    assert abs(found["bytes"] - SIZE) < SIZE / 100
    assert found["weights"] == address
    assert found["modules"] == modules
    assert found["scale_source"] == "tensor"
    assert len(endpoint.requests) <= 4, endpoint.requests
    assert endpoint.traffic() <= header + SLACK
    if read:
        assert (found["scales"], found["scales_not_read"]) == ({"0.5": modules}, 0)
    else:
        assert found["scales_not_read"] >= modules - 2
        assert sum(found["scales"].values()) == modules - found["scales_not_read"]
        assert "not read" in commands(endpoint, tmp_path / "home", asked[1:2])[0].stdout


def test_two_addresses_are_a_line_each_and_scalars_that_are_far_are_not_assumed(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    write_sparse(tmp_path / "far.safetensors", SIZE, alphas="between")
    repository = endpoint.repository("user/several")
    repository.put("a.safetensors", tmp_path / "far.safetensors")
    repository.put("b.safetensors", save(kohya(alpha=2.0)))
    [done] = commands(endpoint, tmp_path / "home", [["inspect", "hf://user/several"]])
    first, second = done.stdout.splitlines()
    assert "scale 0.5, …" in first
    assert "scale 0.5" in second
    assert endpoint.traffic("stored_object") < 3 * SLACK


def test_health_and_torch_files_fetch_all(endpoint: Endpoint, tmp_path: Path) -> None:
    saved = tmp_path / "style.pt"
    torch.save({name: torch.from_numpy(t) for name, t in kohya(alpha=2.0).items()}, saved)
    endpoint.repository("user/one").put("style.pt", saved.read_bytes())
    endpoint.repository("user/two").put("style.safetensors", save(kohya(alpha=2.0)))
    asked = [
        ["inspect", "hf://user/one", "--json"],
        ["inspect", "hf://user/two", "--health", "--json"],
    ]
    torch_file, healthy = commands(endpoint, tmp_path / "home", asked)
    assert json.loads(torch_file.stdout)["scales"] == {"0.5": 4}
    assert json.loads(torch_file.stdout)["weights"] == "hf://user/one/style.pt"
    assert json.loads(healthy.stdout)["health"]


def test_documents_beside_say_scales_from_afar(endpoint: Endpoint, tmp_path: Path) -> None:
    repository = endpoint.repository("user/peft")
    repository.put("adapter_model.safetensors", save(spelled("base_model.model.")))
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    repository.put("adapter_config.json", json.dumps(config).encode())
    [done] = commands(endpoint, tmp_path / "home", [["inspect", "hf://user/peft", "--json"]])
    found = json.loads(done.stdout)
    assert (found["scales"], found["scale_source"]) == ({"2": 4}, "config")
    assert found["scale_paths"] == ["hf://user/peft/adapter_config.json"]


def test_shards_are_read_each_by_its_header(endpoint: Endpoint, tmp_path: Path) -> None:
    tensors = kohya(alpha=2.0)
    names = sorted(tensors)
    repository = endpoint.repository("user/sharded")
    weight_map = {}
    for number, part in enumerate((names[:6], names[6:]), 1):
        shard = f"model-0000{number}-of-00002.safetensors"
        repository.put(shard, save({name: tensors[name] for name in part}))
        weight_map |= dict.fromkeys(part, shard)
    index = json.dumps({"weight_map": weight_map}).encode()
    repository.put("model.safetensors.index.json", index)
    asked = [
        ["inspect", "hf://user/sharded", "--json"],
        [
            "to-kohya",
            "hf://user/sharded/model-00001-of-00002.safetensors",
            "-o",
            "whole.safetensors",
        ],
    ]
    done, converted = commands(endpoint, tmp_path / "home", asked, cwd=tmp_path)
    assert json.loads(done.stdout)["modules"] == 4
    assert converted.exit_code == 0, converted.said
