"""What a file says of itself survives every conversion, and what is wrong then is not said any more."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from lora_convert.operations.origins import PROVENANCE
from lora_convert.operations.resize import plan_resize
from lora_convert.operations.resizing import Limits
from lora_convert.operations.scale import plan_bake, plan_scale
from lora_convert.operations.select import plan_select
from tests.laws.pairs import WRITTEN, named, possible
from tests.laws.synthesis import adapter
from tests.laws.witness import written
from tests.writing import kohya

FOREIGN = {
    "ss_output_name": "Schuhe “rot”",
    "ss_tag_frequency": json.dumps({"10_me": {"sks": 12}}),
    "ss_empty": "",
    "modelspec.title": "Shoes\nin red",
    "modelspec.thumbnail": "data:image/jpeg;base64," + 400 * "/9j+",
    "ot_branch": "master",
    "ot_config": json.dumps({"workspace_dir": "x"}),
    "training_info": json.dumps({"step": 3}),
    "software": "ai-toolkit",
    "name": "none of ours",
}
HASHES = ("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256")


def weights(path: str) -> list[Path]:
    """The safetensors files of an output."""
    return [Path(path)] if os.path.isfile(path) else sorted(Path(path).rglob("*.safetensors"))


def said(path: str) -> dict[str, str]:
    """The metadata of all files of an output, which are the same but for what speaks of their tensors."""
    found = []
    for one in weights(path):
        with safe_open(one, "np") as file:
            found.append(file.metadata() or {})
    assert all(found[0].keys() == other.keys() for other in found)
    return found[0]


def told(path: str, metadata: dict[str, str]) -> None:
    """Add metadata to all files of an output."""
    for one in weights(path):
        with safe_open(one, "np") as file:
            own = file.metadata() or {}
        save_file(load_file(one), one, {**own, **metadata})


PAIRS = [(one, *pair) for one in ("sdxl", "flux") for pair in product(WRITTEN, WRITTEN)]


@pytest.mark.parametrize(("architecture", "origin", "target"), possible(PAIRS))
def test_metadata_survive_every_pair_of_formats(
    tmp_path: Path, architecture: str, origin: str, target: str
) -> None:
    made = adapter(architecture, components=named(architecture, origin, target))
    source = written(tmp_path, origin, made)
    told(source, {**FOREIGN, **dict.fromkeys(HASHES, "0" * 64)})
    result = lc.convert(source, target, output=tmp_path / "to", architecture=architecture)
    found = said(result.output)
    assert {key: found.get(key) for key in FOREIGN} == FOREIGN
    assert not found.keys() & {*HASHES}
    assert any(all(name in note for name in HASHES) for note in result.plan["notes"])
    first = json.loads(found[PROVENANCE])
    assert (first["format"], first["architecture"]) == (result.plan["from"], architecture)
    back = lc.convert(result.output, origin, output=tmp_path / "back", architecture=architecture)
    again = said(back.output)
    assert {key: again.get(key) for key in FOREIGN} == FOREIGN
    assert again[PROVENANCE] == found[PROVENANCE]


SIXTY = {
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_network_module": "networks.lora",
    "ss_network_dim": "4",
    "ss_network_alpha": "2.0",
    "ss_v2": "False",
    "ss_training_started_at": "1721.5",
    **{
        f"ss_entry_{number}": json.dumps({"n": number, "text": "ä" * number})
        for number in range(54)
    },
}


def test_sixty_entries_of_kohya_are_there_after_a_way_through_four_formats(tmp_path: Path) -> None:
    assert len(SIXTY) == 60
    names = tuple(
        f"up_blocks.0.attentions.0.transformer_blocks.0.attn1.{n}" for n in ("to_q", "to_k")
    )
    at = tmp_path / "style.safetensors"
    save_file(kohya(names=names), at, SIXTY)
    for number, name in enumerate(("diffusers", "comfyui", "peft", "kohya")):
        at = Path(lc.convert(at, name, output=tmp_path / f"{number}-{name}").output)
    found = said(str(at))
    assert {key: found.get(key) for key in SIXTY} == SIXTY
    assert found.keys() - SIXTY.keys() == {"format", PROVENANCE}


@pytest.mark.parametrize("module", ["lycoris.kohya", "networks.dylora", "networks.lora_flux"])
def test_who_trained_it_is_said_as_long_as_it_could_have(tmp_path: Path, module: str) -> None:
    source = tmp_path / "k.safetensors"
    save_file(kohya(), source, {"ss_network_module": module})
    found = said(lc.convert(source, "kohya", output=tmp_path / "o.safetensors").output)
    assert found["ss_network_module"] == module
    made = adapter("sdxl", "loha", components=("unet",))
    other = lc.write_adapter(
        made._replace(metadata={"ss_network_module": module}),
        tmp_path / "h.safetensors",
        to="kohya",
    )
    assert said(other.output)["ss_network_module"] == "lycoris.kohya"


def test_ranks_and_alphas_that_are_no_more_are_not_said(tmp_path: Path) -> None:
    source = tmp_path / "k.safetensors"
    given = {"ss_network_dim": "4", "ss_network_alpha": "2.0", "ss_output_name": "cat"}
    save_file(kohya(), source, given)
    for plan, dim, alpha in (
        (plan_scale(source, 0.5), "4", "1"),
        (plan_bake(source), "4", "4"),
        (plan_select(source, ["*to_q"]), "4", "2.0"),
        (plan_resize(source, Limits(rank=2)), "2", "1"),
        (plan_resize(source, Limits(energy=0.9)), "Dynamic", "Dynamic"),
    ):
        with plan:
            result = plan.apply(force=True)
        found = said(result.output)
        assert (found["ss_network_dim"], found["ss_network_alpha"]) == (dim, alpha), result.output
        assert found["ss_output_name"] == "cat"
        assert json.loads(found[PROVENANCE])["format"] == "kohya"
    with plan_scale(
        source, 0.5, writing=plan_scale.__kwdefaults__["writing"]._replace(to="diffusers")
    ) as plan:
        assert any("ss_network_alpha = 2.0" in note for note in plan.notes)
        result = plan.apply(force=True)
    assert "ss_network_alpha" not in said(result.output)


def test_metadata_of_torch_files_come_along(tmp_path: Path) -> None:
    tensors = {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in kohya().items()}
    torch.save({"state_dict": tensors, "metadata": FOREIGN}, tmp_path / "a.pt")
    found = said(lc.convert(tmp_path / "a.pt", "diffusers").output)
    assert {key: found.get(key) for key in FOREIGN} == FOREIGN


def test_the_first_origin_is_of_the_header_alone(tmp_path: Path) -> None:
    """The same names and shapes with other values have the same; other metadata make another."""
    found = []
    for number, (seed, metadata) in enumerate([(1.0, {}), (2.0, {}), (1.0, {"a": "b"})]):
        source = tmp_path / f"{number}.safetensors"
        save_file(
            {name: np.asarray(one * np.float32(seed), "float32") for name, one in kohya().items()},
            source,
            metadata,
        )
        there = lc.convert(source, "diffusers", output=tmp_path / f"{number}-d.safetensors")
        found.append(json.loads(said(there.output)[PROVENANCE])["header"])
    assert found[0] == found[1] != found[2]
