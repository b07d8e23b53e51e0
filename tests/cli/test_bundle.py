"""lora-convert bundle: a folder that says what is in it, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from tests.cli.test_runs import run
from tests.operations.test_publication import image
from tests.operations.test_publication import run as trained
from tests.writing import kohya

__all__ = ["trained"]  # a fixture


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def kit(trained: Path, tmp_path: Path) -> Path:
    done = run("bundle", f"{trained}@500", "-o", tmp_path / "kit", "--title", "Red Shoes")
    assert done.exit_code == 0, done.stderr
    return tmp_path / "kit"


def test_what_is_in_it(kit: Path, trained: Path) -> None:
    assert {*contents(kit)} == {
        "red-shoes.safetensors",
        "red-shoes.preview.png",
        "red-shoes.preview.2.png",
        "red-shoes.txt",
        "red-shoes.civitai.info",
        "red-shoes.metadata.json",
        "README.md",
        "SHA256SUMS",
    }
    assert (kit / "red-shoes.txt").read_text() == "sks shoes\n"
    assert lc.verify(trained / "checkpoints/checkpoint-500", kit / "red-shoes.safetensors").exact
    assert lc.inspect(kit / "red-shoes.safetensors").format == "kohya"
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        check=False,
        cwd=kit,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count(": OK") == len(contents(kit)) - 1


def test_nothing_in_it_tells_of_the_machine(kit: Path, trained: Path) -> None:
    for name, data in contents(kit).items():
        for private in (str(trained), str(kit), "/home/ada", os.uname().nodename):
            assert private.encode() not in data, (name, private)


def test_previews_say_how_they_were_made_as_web_uis_do(kit: Path) -> None:
    sha256 = hashlib.sha256((kit / "red-shoes.safetensors").read_bytes()).hexdigest()
    for name, prompt, seed in (
        ("red-shoes.preview.png", "sks shoes on grass", 7),
        ("red-shoes.preview.2.png", "rote Schuhe – ✓", 8),
    ):
        with Image.open(kit / name) as opened:
            opened.load()
            said = opened.text["parameters"]  # type: ignore[attr-defined]
        first, last = said.split("\n")
        assert first == f"{prompt} <lora:red-shoes:1>"
        assert (
            last == f'Steps: 20, Seed: {seed}, Size: 8x8, Lora hashes: "red-shoes: {sha256[:10]}"'
        )


def test_documents_for_programs(kit: Path) -> None:
    sha256 = hashlib.sha256((kit / "red-shoes.safetensors").read_bytes()).hexdigest()
    info = json.loads((kit / "red-shoes.civitai.info").read_text("utf-8"))
    assert info["baseModel"] == "SD 1.5"
    assert info["trainedWords"] == ["sks shoes"]
    assert info["model"] == {"name": "Red Shoes", "type": "LORA"}
    assert info["files"][0]["hashes"] == {"SHA256": sha256.upper(), "AutoV2": sha256[:10].upper()}
    assert info["files"][0]["primary"]
    assert info["images"][1]["meta"] == {"prompt": "rote Schuhe – ✓", "seed": 8}
    manager = json.loads((kit / "red-shoes.metadata.json").read_text("utf-8"))
    assert (manager["file_name"], manager["sha256"]) == ("red-shoes", sha256)
    assert (manager["base_model"], manager["preview_url"]) == ("SD 1.5", "red-shoes.preview.png")
    assert manager["size"] == (kit / "red-shoes.safetensors").stat().st_size


def test_the_readme_is_markdown_that_says_how_to_use_it(kit: Path) -> None:
    page = MarkdownIt("commonmark").enable("table").render((kit / "README.md").read_text("utf-8"))
    assert "<h1>Red Shoes</h1>" in page
    assert "<code>sks shoes</code>" in page
    assert "&lt;lora:red-shoes:1&gt;" in page
    assert "runwayml/stable-diffusion-v1-5" in page
    assert "creativeml-openrail-m" in page
    assert "weight_name=&quot;red-shoes.safetensors&quot;" in page
    assert page.count("<table>") == 3
    assert hashlib.sha256((kit / "red-shoes.safetensors").read_bytes()).hexdigest() in page


def test_the_same_again_is_unchanged_and_another_is_not_replaced_unasked(
    kit: Path, trained: Path
) -> None:
    before = contents(kit)
    again = run("bundle", f"{trained}@500", "-o", kit, "--title", "Red Shoes")
    assert again.stdout.splitlines()[-1] == f"unchanged: {kit} (8 files)"
    other = run("bundle", f"{trained}@1000", "-o", kit, "--title", "Red Shoes")
    assert (other.exit_code, contents(kit)) == (5, before)
    forced = run("bundle", f"{trained}@1000", "-o", kit, "--title", "Red Shoes", "--force")
    assert forced.exit_code == 0
    assert contents(kit) != before
    (kit / "mine.txt").write_text("notes")
    kept = run("bundle", f"{trained}@500", "-o", kit, "--title", "Red Shoes", "--force")
    assert (kept.exit_code, (kit / "mine.txt").read_text()) == (5, "notes")
    assert [path.name for path in kit.parent.iterdir() if path.name.startswith(".")] == []


def test_several_formats_and_json(trained: Path, tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    arguments = ("bundle", trained, "-o", kit, "--formats", "diffusers,kohya,peft", "--json")
    planned = json.loads(run(*arguments, "--dry-run").stdout)
    assert planned["status"] == "planned"
    assert not kit.exists()
    done = json.loads(run(*arguments).stdout)
    assert done["status"] == "written"
    names = [one["name"] for one in done["files"]]
    assert names[:4] == [
        "red-shoes.safetensors",
        "red-shoes_kohya.safetensors",
        "red-shoes_peft/adapter_model.safetensors",
        "red-shoes_peft/adapter_config.json",
    ]
    assert {*names, "SHA256SUMS"} == {*contents(kit)}
    for one in done["files"]:
        data = (kit / one["name"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(data).hexdigest()
        assert (one["bytes"], one["auto_v2"]) == (len(data), one["sha256"][:10].upper())
    assert lc.inspect(kit / "red-shoes.safetensors").format == "diffusers"
    wrong = run("bundle", trained, "-o", tmp_path / "x", "--formats", "kohja")
    assert (wrong.exit_code, (tmp_path / "x").exists()) == (2, False)
    assert "kohya" in wrong.stderr


def test_pictures_of_ones_own_are_left_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "style.safetensors"
    save_file(kohya(), source)
    made = image(tmp_path / "pictures/a.png", "a cat\nSteps: 20, Seed: 1, Sampler: Euler")
    Image.new("RGB", (4, 4)).save(tmp_path / "pictures/b.jpg")
    image(tmp_path / "pictures/c.png")
    done = run("bundle", source, "-o", tmp_path / "kit", "--images", tmp_path / "pictures")
    assert done.exit_code == 0
    found = contents(tmp_path / "kit")
    assert found["style.preview.png"] == made.read_bytes()
    assert found["style.preview.2.jpg"] == (tmp_path / "pictures/b.jpg").read_bytes()
    assert found["style.preview.3.png"] == (tmp_path / "pictures/c.png").read_bytes()
    assert "style.txt" not in found
    assert "nothing names the base" in done.stderr
    assert "inferred: nothing in its files says so" in found["README.md"].decode()


def test_what_is_broken_is_not_bundled(tmp_path: Path) -> None:
    source = tmp_path / "style.safetensors"
    save_file(kohya(), source)
    tensors = load_file(source)
    up = next(key for key in tensors if "lora_up" in key)
    save_file({**tensors, up: np.full_like(tensors[up], np.inf)}, source)
    for more in ((), ("--dry-run",)):
        refused = run("bundle", source, "-o", tmp_path / "kit", *more)
        assert (refused.exit_code, refused.stdout) == (5, "")
        assert up in refused.stderr
        assert not (tmp_path / "kit").exists()
