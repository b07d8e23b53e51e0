"""push, against a Hub on loopback that the real client talks to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from tests.hub.cards import validated
from tests.hub.endpoint import Endpoint
from tests.hub.session import Done, commands
from tests.operations.test_cards import lora
from tests.pipelines import write_base

SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
FILES = {"README.md", "pytorch_lora_weights.safetensors", "shoes.safetensors"}


@pytest.fixture
def shoes(tmp_path: Path) -> str:
    return lora(tmp_path / "shoes.safetensors")


def push(hub: Endpoint, home: Path, *arguments: str | Path, **how: Any) -> Done:
    (done,) = commands(hub, home, [["push", *arguments]], **how)
    return done


def page(hub: Endpoint, name: str = "user/shoes", revision: str = "main") -> str:
    return hub.files(name, revision)["README.md"].data.decode()


def test_pushed_and_pushed_again(endpoint: Endpoint, shoes: str, tmp_path: Path) -> None:
    """In one commit, private, each file as the page says; the second time nothing is to do."""
    line = ["push", shoes, "user/shoes", "--instance-prompt", "sks shoes"]
    first, second = commands(endpoint, tmp_path / "home", [line, [*line, "--json"]])
    assert first.exit_code == 0, first.said
    assert first.stdout.startswith("pushed: user/shoes (new, private), 2 files and a page\n")
    assert endpoint.repositories["user/shoes"].private
    files = endpoint.files("user/shoes")
    assert {*files} == FILES
    for name in FILES - {"README.md"}:
        assert hashlib.sha256(files[name].data).hexdigest() in page(endpoint)
    assert len(endpoint.seen("commit")) == 1
    assert len(endpoint.seen("upload")) == 2
    assert endpoint.seen("validate_yaml"), "the client asks before it uploads"
    assert not [blob for blob in files.values() if endpoint.token.encode() in blob.data]
    assert json.loads(second.stdout)["status"] == "unchanged"
    assert len(endpoint.seen("commit")) == 1
    assert len(endpoint.seen("upload")) == 2


def pulled(hub: Endpoint, name: str, folder: Path) -> Path:
    """A repository's files, as they are for whoever downloads them."""
    for place, blob in hub.files(name).items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob.data)
    return folder


def test_diffusers_draws_with_what_is_pulled(endpoint: Endpoint, tmp_path: Path) -> None:
    """The folder as it is, by its name alone: every weight of the adapter is the one that was pushed."""
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig, get_peft_model_state_dict

    from tests.oracles.tiny_pipelines import save_pipeline

    base = save_pipeline("sd1", tmp_path / "base")
    one, other = (StableDiffusionPipeline.from_pretrained(base) for _ in range(2))
    one.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False))
    weights = get_peft_model_state_dict(one.unet)
    one.save_lora_weights(tmp_path / "made", unet_lora_layers=weights)
    file = tmp_path / "made/pytorch_lora_weights.safetensors"
    done = push(endpoint, tmp_path / "home", file, "user/made", "--architecture", "sd1")
    assert done.exit_code == 0, done.said
    other.load_lora_weights(str(pulled(endpoint, "user/made", tmp_path / "pulled")))
    found = get_peft_model_state_dict(other.unet, adapter_name="default_0")
    assert found.keys() == weights.keys()
    assert all(bool((found[key] == weights[key]).all()) for key in weights)


def test_what_is_pushed_acts_as_the_source(endpoint: Endpoint, shoes: str, tmp_path: Path) -> None:
    """In every format."""
    formats = "diffusers,kohya,comfyui,peft,lycoris"
    done = push(endpoint, tmp_path / "home", shoes, "user/shoes", "--formats", formats)
    assert done.exit_code == 0, done.said
    folder = pulled(endpoint, "user/shoes", tmp_path / "pulled")
    places = (
        "pytorch_lora_weights.safetensors",
        "shoes.safetensors",
        "comfyui",
        "peft",
        "lycoris",
    )
    for place in places:
        assert lc.verify(shoes, folder / place).equal, place


def test_the_hub_takes_the_header(endpoint: Endpoint, shoes: str, tmp_path: Path) -> None:
    for number in range(2):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    done = push(endpoint, tmp_path / "home", shoes, "user/shoes", "--images", tmp_path, "--public")
    assert done.exit_code == 0, done.said
    assert not endpoint.repositories["user/shoes"].private
    assert {"images/0.png", "images/1.png"} < {*endpoint.files("user/shoes")}
    assert validated(page(endpoint)).errors == ()
    said = yaml.safe_load(page(endpoint).split("---\n")[1])
    assert [one["output"]["url"] for one in said["widget"]] == ["images/0.png", "images/1.png"]


def test_dry_run_shows_the_page_and_the_files_and_asks_nobody(
    endpoint: Endpoint, shoes: str, tmp_path: Path
) -> None:
    line = ["push", shoes, "user/shoes"]
    shown, as_json, _ = commands(
        endpoint,
        tmp_path / "home",
        [[*line, "--dry-run"], [*line, "--dry-run", "--json"], line],
        token=None,
    )
    assert shown.exit_code == 0
    planned = json.loads(as_json.stdout)
    assert shown.stdout.startswith(planned["card"])
    assert [one["name"] for one in planned["files"]] == sorted(FILES - {"README.md"})
    assert all(f"{one['bytes']:,}" in shown.stdout for one in planned["files"])
    assert not [seen for seen in endpoint.requests if seen.route in ("commit", "upload")]
    offline = push(endpoint, tmp_path, shoes, "user/shoes", "--dry-run", HF_HUB_OFFLINE="1")
    assert offline.exit_code == 0
    assert offline.stdout == shown.stdout


def test_an_interrupted_push_goes_on(endpoint: Endpoint, shoes: str, tmp_path: Path) -> None:
    """What came over is not sent again, and nothing is to be seen before all is there."""
    home = tmp_path / "home"
    endpoint.fail("commit", 403, times=1)
    assert push(endpoint, home, shoes, "user/shoes").exit_code == 1
    assert {*endpoint.files("user/shoes")} == set()
    assert len(endpoint.seen("upload")) == 2
    assert push(endpoint, home, shoes, "user/shoes").exit_code == 0
    assert {*endpoint.files("user/shoes")} == FILES
    assert len(endpoint.seen("upload")) == 2


@pytest.mark.parametrize("route", ["create_repo", "preupload", "lfs_batch", "upload", "commit"])
def test_a_moments_trouble_is_waited_for(
    endpoint: Endpoint, shoes: str, tmp_path: Path, route: str
) -> None:
    endpoint.fail(route, 503, times=1)
    done = push(endpoint, tmp_path / "home", shoes, "user/shoes")
    assert done.exit_code == 0, done.said
    assert {*endpoint.files("user/shoes")} == FILES


@pytest.mark.parametrize(
    ("token", "name", "status", "words"),
    [
        (None, "user/shoes", 0, ("401", "HF_TOKEN")),
        ("hf_wrong", "user/shoes", 0, ("401", "does not accept your token")),
        ("", "other/shoes", 0, ("403", "not allowed")),
        ("", "user/shoes", 429, ("429", "slow down")),
        ("", "user/shoes", 500, ("500", "an error of its own")),
    ],
)
def test_refusals_say_one_thing(
    endpoint: Endpoint,
    shoes: str,
    tmp_path: Path,
    token: str | None,
    name: str,
    status: int,
    words: tuple[str, ...],
) -> None:
    if status:
        endpoint.fail("preupload", status, times=-1)
    if name.startswith("other"):
        endpoint.repository(name)
    done = push(endpoint, tmp_path / "home", shoes, name, token=token)
    assert done.exit_code == 1
    (problem,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert all(word in done.stderr for word in words)
    assert name in problem
    assert "Traceback" not in done.said and "hf_wrong" not in done.said
    assert done.seconds < 35


def test_names_that_no_repository_has(endpoint: Endpoint, shoes: str, tmp_path: Path) -> None:
    names = ("my/own/shoes", "shoes", "me/-shoes", "me/sho--es")
    lines = [["push", shoes, name] for name in names]
    for done in commands(endpoint, tmp_path / "home", lines):
        assert done.exit_code == 2
        assert "me/my-lora" in done.stderr
    done = push(endpoint, tmp_path / "home", shoes, "user/shoes", "--formats", "kohya,comfy")
    assert done.exit_code == 2
    assert "formats: 'comfy'" in done.stderr and "comfyui" in done.stderr
    assert not endpoint.requests


def test_a_page_that_somebody_wrote_stays(endpoint: Endpoint, shoes: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    push(endpoint, home, shoes, "user/shoes")
    text = (
        page(endpoint)
        .replace("# Shoes", "# The shoes\n\nWorn by me.")
        .replace("license: creativeml-openrail-m", "license: mit")
    )
    assert "Worn by me" in text
    endpoint.repository("user/shoes").put("README.md", text.encode())
    done = push(endpoint, home, shoes, "user/shoes", "--formats", "comfyui", "--message", "More")
    assert done.exit_code == 0, done.said
    assert "Worn by me" in page(endpoint) and "license: mit" in page(endpoint)
    assert "comfyui/shoes.safetensors" in page(endpoint)
    assert {*endpoint.files("user/shoes")} == {*FILES, "comfyui/shoes.safetensors"}


def test_another_branch(endpoint: Endpoint, shoes: str, tmp_path: Path) -> None:
    done = push(endpoint, tmp_path / "home", shoes, "user/shoes", "--revision", "step-500")
    assert done.exit_code == 0, done.said
    assert {*endpoint.files("user/shoes", "step-500")} == FILES
    assert {*endpoint.files("user/shoes")} == set()


def test_what_is_broken_or_forbidden_stays_here(endpoint: Endpoint, tmp_path: Path) -> None:
    good = Path(lora(tmp_path / "good.safetensors"))
    tensors = load_file(good)
    name = next(key for key in tensors if key.endswith("down.weight"))
    broken, zero = tmp_path / "broken.safetensors", tmp_path / "zero.safetensors"
    save_file({**tensors, name: np.full_like(tensors[name], np.nan)}, broken, {"format": "pt"})
    still = {k: t * 0 if k.endswith("up.weight") else t for k, t in tensors.items()}
    save_file(still, zero, {"format": "pt"})
    odd = tmp_path / "odd.safetensors"
    save_file({**tensors, "what.is.this": tensors[name]}, odd, {"format": "pt"})
    flux = ["--base-model", "black-forest-labs/FLUX.1-dev", "--license", "apache-2.0"]
    lines = [
        ["push", broken, "user/a"],
        ["push", odd, "user/b"],
        ["push", good, "user/c", *flux],
        ["push", zero, "user/d"],
        ["push", good, "user/e", *flux, "--allow"],
    ]
    found = commands(endpoint, tmp_path / "home", lines)
    assert [one.exit_code for one in found] == [5, 4, 5, 0, 0], [one.stderr for one in found]
    assert "not finite" in found[0].stderr
    assert "what.is.this" in found[1].stderr
    assert "--allow" in found[2].stderr and "forbids commercial use" in found[2].stderr
    assert "warning: every module is all zeros" in found[3].stderr
    assert {*endpoint.repositories} == {"user/d", "user/e"}


def test_an_unknown_licence_is_other_and_said(
    endpoint: Endpoint, shoes: str, tmp_path: Path
) -> None:
    done = push(endpoint, tmp_path / "home", shoes, "user/x", "--base-model", "some/body")
    assert done.exit_code == 0
    assert "licence of the base is not known" in done.stderr
    assert "license: other" in page(endpoint, "user/x")


def test_a_whole_pipeline_and_other_folders(endpoint: Endpoint, tmp_path: Path) -> None:
    """As it lies there, but for where its parts lie on this machine."""
    pipeline = write_base(tmp_path / "made")
    said = {
        "display_name": "Shoes 500",
        "description": f"{tmp_path}/sd15 with checkpoint-500 merged into it",
        "source": {"path": str(tmp_path / "run"), "sha256": "ab"},
        "base": {"name": f"{tmp_path}/sd15", "path": f"{tmp_path}/sd15"},
    }
    (pipeline / "checkpoint_metadata.json").write_text(json.dumps(said))
    (pipeline / ".hidden").write_text("x")
    more = tmp_path / "notes"
    more.mkdir()
    (more / "log.txt").write_text("log")
    line = ["push", pipeline, "user/made", "--also-folder", more]
    done, other = commands(
        endpoint,
        tmp_path / "home",
        [[*line, "--base-model", SD15], [*line, "--formats", "kohya"]],
    )
    assert done.exit_code == 0, done.said
    assert other.exit_code == 2 and "pushed as it is" in other.stderr
    files = endpoint.files("user/made")
    there = {
        str(path.relative_to(pipeline)): path.read_bytes()
        for path in pipeline.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert {*files} == {*there, "README.md", "notes/log.txt"}
    for name in {*there} - {"checkpoint_metadata.json"}:
        assert files[name].data == there[name]
    document = json.loads(files["checkpoint_metadata.json"].data)
    assert document["source"] == {"sha256": "ab"}
    assert not [blob for blob in files.values() if str(tmp_path).encode() in blob.data]
    assert document["base"] == {"name": "sd15"}
    assert f"base_model: {SD15}" in page(endpoint, "user/made")
    assert "# Shoes 500" in page(endpoint, "user/made")
    assert "sd15 with checkpoint-500 merged into it" in page(endpoint, "user/made")
