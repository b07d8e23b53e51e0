"""What people are told of an adapter that is given to them, and the files they are given."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import save_file

import lora_convert as lc
from lora_convert.applications import APPLICATIONS
from lora_convert.architectures import ARCHITECTURES
from lora_convert.errors import (
    CheckpointNotFoundError,
    NotExpressibleError,
    UnexplainedKeysError,
)
from lora_convert.formats import written
from lora_convert.operations.known_models import (
    CIVITAI,
    LICENCES,
    MODELS,
    OTHER,
    civitai_name,
    licence_of,
)
from lora_convert.operations.publication import publication
from lora_convert.operations.publication_sources import publication_source
from lora_convert.operations.publishing import converted, usual_format
from lora_convert.storage.png_texts import is_png, size_of, text_in, with_text
from tests.operations.run_examples import metrics
from tests.writing import kohya, peft_folder

CONFIG = """
[data]
trigger_word = "sks shoes"
train_data_dir = "/home/ada/photos"
resolution = 512
[training]
train_batch_size = 2
[sampling]
sample_steps = 20
[optimizer]
learning_rate = 0.0001
optimizer = "adamw"
"""


def image(path: Path, parameters: str = "", side: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = PngInfo()
    if parameters:
        told.add_text("parameters", parameters)
    Image.new("RGB", (side, side), "red").save(path, pnginfo=told)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of lora-convert-train: its result, checkpoints, settings and samples."""
    folder = tmp_path / "outputs/red-shoes"
    for step in (500, 1000):
        peft_folder(folder / f"checkpoints/checkpoint-{step}")
        for number, prompt in enumerate(("sks shoes on grass", "rote Schuhe – ✓")):
            path = folder / f"samples/step-{step:06d}/{number}-seed{7 + number}.png"
            image(path, f"{prompt}\nSeed: {7 + number}, step: {step}")
    peft_folder(folder / "lora_weights")
    manifest = {
        "model": {"path": "runwayml/stable-diffusion-v1-5"},
        "trigger_word": "",
        "step": 1000,
        "dataset": {"images": 12},
    }
    (folder / "run.json").write_text(json.dumps(manifest))
    (folder / "config.toml").write_text(CONFIG)
    metrics(folder, {500: 0.1, 1000: 0.3})
    return folder


def test_a_source_is_a_run_a_checkpoint_a_folder_or_a_file(run: Path) -> None:
    for given, path, step in (
        (str(run), run / "lora_weights", None),
        (f"{run}@500", run / "checkpoints/checkpoint-500", 500),
        (f"{run}@best", run / "checkpoints/checkpoint-500", 500),
        (f"{run}@last", run / "checkpoints/checkpoint-1000", 1000),
        (str(run / "checkpoints/checkpoint-1000"), run / "checkpoints/checkpoint-1000", 1000),
        (str(run / "lora_weights"), run / "lora_weights", None),
    ):
        found = publication_source(given)
        assert found.path == str(path)
        assert found.run is not None and found.run.path == str(run), given
        assert (found.checkpoint.step if found.checkpoint else None) == step


def test_a_file_beside_checkpoints_is_not_of_their_run(tmp_path: Path) -> None:
    peft_folder(tmp_path / "run/checkpoints/checkpoint-500")
    save_file(kohya(), tmp_path / "run/red-hat.safetensors")
    found = publication_source(str(tmp_path / "run/red-hat.safetensors"))
    assert (found.run, found.checkpoint) == (None, None)
    assert publication(found.path).title == "Red Hat"


def test_an_at_sign_in_a_name_is_no_address(tmp_path: Path) -> None:
    path = tmp_path / "me@home" / "shoes@500.safetensors"
    path.parent.mkdir()
    save_file(kohya(), path)
    found = publication_source(str(path))
    assert (found.path, found.run, found.checkpoint) == (str(path), None, None)
    with pytest.raises(CheckpointNotFoundError):
        publication(str(tmp_path / "absent@500"))


def test_what_a_run_knows_is_told_without_its_paths(run: Path) -> None:
    found = publication(f"{run}@500")
    assert (found.name, found.title) == ("red-shoes-step-500", "Red Shoes (Step 500)")
    assert found.triggers == ("sks shoes",)
    assert found.triggers_from == "config.toml"
    [base] = found.bases
    assert (base.repository, base.told_by) == (
        "runwayml/stable-diffusion-v1-5",
        "run.json",
    )
    assert not base.inferred
    assert found.licence.id == "creativeml-openrail-m"
    assert found.training["steps"] == "500"
    assert found.training["images"] == "12"
    assert found.training["learning rate"] == "0.0001"
    assert found.training["loss"] == "0.1"
    assert [(one.prompt, one.seed) for one in found.previews] == [
        ("sks shoes on grass", 7),
        ("rote Schuhe – ✓", 8),
    ]
    assert (found.modules, found.ranks, found.algorithms) == (4, {4: 4}, ("lora",))
    assert "/home" not in json.dumps([found.training, found.warnings, found.triggers])
    assert (found.broken, found.objections) == ((), ())
    result = publication(str(run))
    assert (result.title, result.training["steps"]) == ("Red Shoes", "1000")
    assert len(result.previews) == 2
    assert "step-001000" in result.previews[0].path


def test_options_win(run: Path, tmp_path: Path) -> None:
    for name in ("b10.png", "b9.png", "c.jpg", "note.txt"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x") if name.endswith("txt") else Image.new("RGB", (4, 4)).save(path)
    found = publication(
        str(run),
        title="My Shoes",
        base_models=["black-forest-labs/FLUX.1-schnell", "black-forest-labs/FLUX.1-dev"],
        licence="cc-by-nc-4.0",
        instance_prompt="a photo of sks",
        images=str(tmp_path / "pictures"),
    )
    assert (found.title, found.name, found.triggers) == (
        "My Shoes",
        "my-shoes",
        ("a photo of sks",),
    )
    assert [one.licence.id for one in found.bases] == ["apache-2.0", OTHER]
    assert found.licence.id == "cc-by-nc-4.0"
    assert [Path(one.path).name for one in found.previews] == ["b9.png", "b10.png", "c.jpg"]
    assert found.objections == ()
    wider = publication(str(run), base_models=["black-forest-labs/FLUX.1-dev"], licence="mit")
    assert "forbids commercial use" in wider.objections[0]
    assert any("which is not that of sd1" in one for one in wider.warnings)
    with pytest.raises(CheckpointNotFoundError, match="no images"):
        publication(str(run), images=str(tmp_path / "absent"))


def test_what_metadata_know_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_lora_weights.safetensors"
    metadata = {
        "ss_output_name": "red_shoes",
        "ss_sd_model_name": "v1-5-pruned-emaonly.safetensors",
        "ss_tag_frequency": json.dumps({"a": {"sks shoes": 11, "grass": 4}, "b": {"sks shoes": 1}}),
        "ss_num_train_images": "12",
        "ss_learning_rate": "0.0001",
        "ss_steps": "600",
        "ss_optimizer": "/home/ada/optimizers.py",
        "ss_dataset_dirs": json.dumps({"a": {"img_count": 12}, "b": {"img_count": 1}}),
    }
    save_file(kohya(), path, metadata)
    found = publication(str(path))
    assert (found.title, found.name) == ("Red Shoes", "red-shoes")
    assert found.bases[0][:2] == ("stable-diffusion-v1-5/stable-diffusion-v1-5", "ss_sd_model_name")
    assert (found.triggers, found.triggers_from) == (("sks shoes",), "ss_tag_frequency")
    assert found.training == {
        "steps": "600",
        "learning rate": "0.0001",
        "images, with repeats": "12",
    }
    assert any("ss_dataset_dirs" in one for one in found.warnings)
    save_file(kohya(), path, {"modelspec.trigger_phrase": "mypet", "modelspec.title": "My Pet"})
    found = publication(str(path))
    assert (found.triggers, found.title) == (("mypet",), "My Pet")
    assert found.bases[0].inferred
    assert any("nothing names the base" in one for one in found.warnings)


def test_a_word_that_few_captions_hold_calls_nothing_up(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tags = json.dumps({"a": {"grass": 4}})
    dirs = json.dumps({"a": {"n_repeats": 10, "img_count": 12}})
    save_file(kohya(), path, {"ss_tag_frequency": tags, "ss_dataset_dirs": dirs})
    assert publication(str(path)).triggers == ()
    tags = json.dumps({"a": {"grass": 4, "sky": 4}})
    save_file(kohya(), path, {"ss_tag_frequency": tags})
    assert publication(str(path)).triggers == ()
    save_file(kohya(), path, {"ss_tag_frequency": "[broken"})
    assert publication(str(path)).triggers == ()


def test_a_local_base_is_told_by_the_repository_it_was(run: Path, tmp_path: Path) -> None:
    base = tmp_path / "models/sdxl"
    base.mkdir(parents=True)
    manifest = json.loads((run / "run.json").read_text())
    for index, repository in (
        ({"_name_or_path": "someone/else"}, "someone/else"),
        ({}, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    ):
        (base / "model_index.json").write_text(json.dumps(index))
        (run / "run.json").write_text(json.dumps({**manifest, "model": {"path": str(base)}}))
        assert publication(str(run)).bases[0].repository == repository


def test_what_is_broken_is_not_given_to_anybody(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = kohya()
    up = next(key for key in tensors if "lora_up" in key)
    save_file({**tensors, up: np.full_like(tensors[up], np.nan)}, path)
    found = publication(str(path))
    assert up in found.broken[0]
    with pytest.raises(NotExpressibleError, match="not finite"):
        converted(found, ["diffusers"], str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    zero = {key: one * 0 if "lora_up" in key else one for key, one in tensors.items()}
    save_file({key: np.asarray(one) for key, one in zero.items()}, path)
    found = publication(str(path))
    assert found.broken == ()
    assert any("every module is all zeros" in one for one in found.warnings)
    save_file({**tensors, "lora_unet_mystery.alpha": np.ones((), "float32")}, path)
    with pytest.raises(UnexplainedKeysError):
        publication(str(path))


def test_files_are_proved_hashed_and_said_to_work_where_they_do(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = converted(publication(str(run)), ["kohya", "peft"], str(out))
    for one in found:
        for file in one.files:
            data = (out / file.name).read_bytes()
            assert file.bytes == len(data)
            assert file.sha256 == hashlib.sha256(data).hexdigest()
            assert file.auto_v2 == file.sha256[:10].upper()
    kohya_files, peft = found
    assert [file.name for file in kohya_files.files] == ["red-shoes_kohya.safetensors"]
    assert {Path(file.name).name for file in peft.files} == {
        "adapter_model.safetensors",
        "adapter_config.json",
    }
    assert {"a1111", "comfyui", "sd-scripts"} <= {*kohya_files.works_in}
    assert "ComfyUI" in " ".join(kohya_files.titles)
    assert peft.works_in == ("peft",)
    assert lc.verify(run / "lora_weights", out / kohya_files.files[0].name).exact
    named = converted(
        publication(str(run)),
        ["diffusers"],
        str(out),
        {"diffusers": "pytorch_lora_weights.safetensors"},
    )
    assert named[0].files[0].name == "pytorch_lora_weights.safetensors"


def test_the_tables_are_whole() -> None:
    assert {*MODELS} == {*ARCHITECTURES}
    for name, licence in LICENCES.items():
        assert name.count("/") == 1
        assert licence.id != OTHER or (licence.name and licence.link.startswith("https://")), name
    assert licence_of("black-forest-labs/flux.1-DEV").forbids == ("commercial use",)
    assert not licence_of("someone/else").known
    assert all(usual_format(one) in written() for one in (*ARCHITECTURES, None))
    for name, known in MODELS.items():
        assert not known.repository or known.repository.count("/") == 1, name
        if any(one.knows(name) for one in APPLICATIONS.values()):
            assert any(
                one.writes.get(name, one.writes.get("")) == usual_format(name)
                for one in APPLICATIONS.values()
            )


@pytest.mark.parametrize(
    ("architecture", "repository", "label"),
    [
        ("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", "SDXL 1.0"),
        ("sdxl", "AstraliteHeart/pony-diffusion-v6", "Pony"),
        ("sdxl", "OnomaAIResearch/Illustrious-XL-v2.0", "Illustrious"),
        ("flux", "black-forest-labs/FLUX.1-schnell", "Flux.1 S"),
        ("flux", "", "Flux.1 D"),
        ("flux3", "", "Other"),
        (None, "", "Other"),
    ],
)
def test_civitai_has_names_of_its_own(
    architecture: str | None, repository: str, label: str
) -> None:
    assert civitai_name(architecture, repository) == label
    assert "" not in CIVITAI.values()


@pytest.mark.parametrize("text", ["a cat\nSteps: 20, Seed: 1", "eine Katze – ✓", ""])
def test_texts_of_images_are_those_that_pillow_reads(tmp_path: Path, text: str) -> None:
    data = image(tmp_path / "a.png", "old ✓", side=12).read_bytes()
    assert is_png(data)
    assert size_of(data) == (12, 12)
    assert text_in(data, "parameters") == "old ✓"
    made = with_text(data, "parameters", text)
    (tmp_path / "b.png").write_bytes(made)
    with Image.open(tmp_path / "b.png") as opened:
        opened.load()
        assert opened.text == {"parameters": text}  # type: ignore[attr-defined]
        assert np.asarray(opened)[0, 0].tolist() == [255, 0, 0]
    assert text_in(made, "parameters") == text
    assert text_in(made[:60], "parameters") in {"", text}
    assert not is_png(b"\xff\xd8\xff")
