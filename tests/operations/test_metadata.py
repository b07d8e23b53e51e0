"""Edits of what a file says of itself: the weights keep every byte, and readers what they need."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from lora_convert.architectures import ARCHITECTURES
from lora_convert.errors import (
    DestinationExistsError,
    LoraConvertError,
    NotExpressibleError,
    OptionError,
)
from lora_convert.operations import metadata_keys as keys
from lora_convert.operations.metadata import plan_copy, plan_set, plan_strip, show_metadata
from lora_convert.operations.model_spec import SPECS
from lora_convert.storage.safetensors import MAX_HEADER
from tests.writing import NAMES, kohya

TELLING = {
    "ss_dataset_dirs": '{"10_me": {"n_repeats": 10}}',
    "ss_tag_frequency": '{"10_me": {"sks man": 12}}',
    "ss_session_id": "1234",
    "ot_config": '{"workspace_dir": "C:\\\\Users\\\\me"}',
    "trained_in": "/home/me/outputs",
}
HARMLESS = {
    "format": "pt",
    "ss_base_model_version": "sd_v1",
    "ss_network_dim": "4",
    "modelspec.thumbnail": "data:image/jpeg;base64,/9j/home/me+/tmp/AAAA=",
    "modelspec.description": "see https://example.org/home/loras and/or a/b",
}


def saved(path: Path, metadata: dict[str, str] | None = None) -> Path:
    save_file(kohya(), path, metadata)
    return path


def said(path: Path) -> dict[str, str]:
    with safe_open(path, "np") as file:
        return file.metadata() or {}


def data(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()


def done(plan: object) -> str:
    with plan:  # type: ignore[attr-defined]
        return plan.apply()  # type: ignore[attr-defined, no-any-return]


def test_an_edit_in_place_changes_no_byte_of_the_weights(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {"format": "pt", "old": "1", "kept": "2"})
    before, tensors = data(path), load_file(path)
    path.chmod(0o640)
    with plan_set(path, {"old": "3", "new": "naïve\n“text”"}) as plan:
        assert (plan.added, plan.removed) == ({"new": "naïve\n“text”"}, {})
        assert plan.changed == {"old": ("1", "3")}
        assert plan.apply() == "written"
    assert said(path) == {"format": "pt", "old": "3", "kept": "2", "new": "naïve\n“text”"}
    assert data(path) == before
    after = load_file(path)
    assert all(np.array_equal(tensors[name], after[name]) for name in tensors)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a.safetensors"]
    assert done(plan_set(path, {"old": "3"})) == "unchanged"


@pytest.mark.parametrize("elements", [100, 400_000])
def test_the_data_lies_where_file_systems_can_share_it(tmp_path: Path, elements: int) -> None:
    path, out = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_file({"x": np.arange(elements, dtype="float32")}, path)
    assert done(plan_set(path, {"a": "b"}, output=str(out))) == "written"
    starts = [8 + int.from_bytes(one.read_bytes()[:8], "little") for one in (path, out)]
    assert starts[1] % 8 == 0
    assert elements == 100 or (starts[1] - starts[0]) % 4096 == 0
    assert data(out) == data(path)


def test_another_output_is_neither_replaced_nor_written_twice(tmp_path: Path) -> None:
    path, out = saved(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    before = path.read_bytes()
    assert done(plan_set(path, {"x": "1"}, output=str(out))) == "written"
    assert done(plan_set(path, {"x": "1"}, output=str(out))) == "unchanged"
    with pytest.raises(DestinationExistsError):
        done(plan_set(path, {"x": "2"}, output=str(out)))
    with plan_set(path, {"x": "2"}, output=str(out)) as plan:
        assert plan.apply(force=True) == "written"
    assert said(out) == {"x": "2"}
    assert path.read_bytes() == before


def test_a_link_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "blob.safetensors")
    link = tmp_path / "link.safetensors"
    link.symlink_to(path)
    with pytest.raises(DestinationExistsError, match="link"):
        done(plan_set(link, {"x": "1"}))
    assert link.is_symlink()
    assert said(path) == {}


def test_what_tells_of_a_person_is_taken_out_and_nothing_else(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {**TELLING, **HARMLESS})
    with plan_strip(path) as plan:
        assert plan.removed == TELLING
        assert all(plan.reasons[key] for key in TELLING)
        plan.apply()
    assert said(path) == HARMLESS


def test_strip_leaves_what_weights_are_read_by(tmp_path: Path) -> None:
    source = saved(tmp_path / "k.safetensors")
    path = Path(lc.convert(source, "diffusers", output=tmp_path / "d.safetensors").output)
    scales = {one.scale for one in lc.read_adapter(path).modules}
    assert scales == {0.5}
    with plan_strip(path, only=["*"]) as plan:
        assert any("lora_adapter_metadata stays" in note for note in plan.notes)
        plan.apply()
    assert {*said(path)} == {"format", "lora_adapter_metadata"}
    assert {one.scale for one in lc.read_adapter(path).modules} == scales


def test_strip_by_patterns(tmp_path: Path) -> None:
    given = {**TELLING, **HARMLESS}
    for how, left in (
        ({"only": ["ss_*"]}, {key for key in given if not key.startswith("ss_")}),
        ({"keep": ["ss_*"]}, {key for key in given if key.startswith("ss_")} | {"format"}),
        ({"everything": True}, {"format", "ss_base_model_version"}),
    ):
        path = saved(tmp_path / "a.safetensors", given)
        done(plan_strip(path, **how))  # type: ignore[arg-type]
        assert {*said(path)} == left
    with pytest.raises(OptionError, match="names nothing"):
        plan_strip(path, only=["absent*"])
    with pytest.raises(OptionError):
        plan_strip(path, only=["format"], everything=True)


def test_copy_leaves_what_speaks_of_the_others_tensors(tmp_path: Path) -> None:
    given = {
        "a": "1",
        "b": "2",
        "format": "np",
        "sshs_model_hash": "0",
        "lora_adapter_metadata": "{}",
    }
    source = saved(tmp_path / "a.safetensors", given)
    path = saved(tmp_path / "b.safetensors", {"format": "pt", "b": "old", "c": "3"})
    with plan_copy(source, path) as plan:
        assert "sshs_model_hash" in plan.notes[0]
        plan.apply()
    assert said(path) == {"format": "pt", "a": "1", "b": "2", "c": "3"}
    done(plan_copy(source, saved(path), only=["a"]))
    assert said(path) == {"a": "1"}


def test_hashes_of_the_data_stay_right_and_are_computed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {"sshs_legacy_hash": "abcd1234", "ss_x": "1"})
    with plan_set(path, {"note": "x"}, hash=True) as plan:
        assert plan.after["sshs_legacy_hash"] == "abcd1234"
        plan.apply()
    assert said(path)["modelspec.hash_sha256"] == "0x" + data(path)
    assert lc.inspect(path, health=True).health.false_hashes == ()  # type: ignore[union-attr]
    with plan_set(path, {"ss_x": "2"}) as plan:
        assert {*plan.removed} == {"sshs_legacy_hash"}
        assert plan.notes[0].startswith("sshs_legacy_hash: ")


def sdxl(path: Path, metadata: dict[str, str] | None = None) -> Path:
    names = tuple(name.replace("down_blocks.1", "up_blocks.0") for name in NAMES)
    save_file(kohya(names=names), path, metadata)
    return path


def test_a_changed_listing_in_a1111_is_said(tmp_path: Path) -> None:
    path = sdxl(tmp_path / "a.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"})
    assert show_metadata(path).listed == "sdxl"
    with plan_strip(path, only=["ss_*"]) as plan:
        assert plan.notes == ("A1111 will list it under any base, not sdxl",)
    with plan_set(path, {"ss_base_model_version": "mine"}) as plan:
        assert "under sd1, not sdxl: ss_base_model_version" in plan.notes[0]
    with plan_set(path, {"title": "x"}) as plan:
        assert plan.notes == ()


def test_a_model_spec_is_completed_and_checked(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGBA", (900, 600), "red").save(tmp_path / "p.png")
    known = {
        "ss_output_name": "shoes",
        "ss_resolution": "(768, 512)",
        "ss_training_finished_at": "86400.5",
    }
    path = sdxl(tmp_path / "a.safetensors", known)
    values = {"modelspec.author": "me"}
    done(plan_set(path, values, model_spec=True, image=str(tmp_path / "p.png")))
    found = said(path)
    assert found.pop("modelspec.thumbnail").startswith("data:image/jpeg;base64,/9j/")
    assert found == known | {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": "shoes",
        "modelspec.resolution": "768x512",
        "modelspec.date": "1970-01-02",
        "modelspec.author": "me",
    }
    assert show_metadata(path).problems == ()
    done(plan_set(path, {"modelspec.architecture": "flux-1-dev", "modelspec.title": ""}))
    problems = " ".join(show_metadata(path).problems)
    assert "needs modelspec.title" in problems
    assert "ends in /lora" in problems
    assert "stable-diffusion-xl-v1-base/lora" in problems


def test_a_model_spec_of_several_models_must_be_told_which(tmp_path: Path) -> None:
    names = tuple(f"transformer_blocks.0.attn.{name}" for name in ("to_q", "to_k", "add_q_proj"))
    path = tmp_path / "a.safetensors"
    save_file(kohya(names=names), path)
    with pytest.raises(OptionError) as caught:
        plan_set(path, {}, model_spec=True, architecture="sd3")
    assert "stable-diffusion-v3.5-large/lora" in caught.value.choices
    told = {"modelspec.architecture": "stable-diffusion-v3.5-large/lora"}
    with plan_set(path, told, model_spec=True, architecture="sd3") as plan:
        assert plan.after["modelspec.resolution"] == "1024x1024"


def test_the_table_of_specs_is_of_architectures() -> None:
    assert {*SPECS} <= {*ARCHITECTURES}
    assert all(spec.ids and spec.implementation for spec in SPECS.values())
    assert all(not spec.ids[0].endswith("lora") for spec in SPECS.values())


def test_refusals(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    with pytest.raises(OptionError, match="3"):
        plan_set(path, {"a": 3})
    with pytest.raises(OptionError):
        plan_set(path, {"": "x"})
    with pytest.raises(OptionError, match="surrogates"):
        plan_set(path, {"a": "\udc80"})
    with pytest.raises(NotExpressibleError, match="header"):
        plan_set(path, {"a": "x" * MAX_HEADER})
    with pytest.raises(NotExpressibleError, match="only safetensors"):
        plan_set(path, {"a": "x"}, output=str(tmp_path / "a.pt"))
    torch.save({name: torch.from_numpy(t) for name, t in kohya().items()}, tmp_path / "a.pt")
    with pytest.raises(NotExpressibleError, match="torch zip") as caught:
        show_metadata(tmp_path / "a.pt")
    assert "convert" in caught.value.hint
    with pytest.raises(LoraConvertError):
        show_metadata(tmp_path / "absent")
    assert said(path) == {}


def test_a_file_that_is_replaced_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors")
    with plan_set(path, {"a": "1"}) as plan:
        saved(tmp_path / "other.safetensors", {"mine": "1"}).replace(path)
        with pytest.raises(LoraConvertError):
            plan.apply(force=True)
    assert said(path) == {"mine": "1"}


def test_no_key_that_is_needed_is_told_to_tell() -> None:
    assert not [key for key in keys.NEEDED if keys.telling(key, "x")]
    assert json.dumps(sorted(keys.LOCKED)) == '["format", "lora_adapter_metadata"]'
