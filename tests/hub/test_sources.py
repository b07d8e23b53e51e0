"""Every command takes an address on the Hub for a source, and goes on as with a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save, save_file

from lora_convert.cli._app import COMMANDS
from tests.hub.endpoint import Endpoint
from tests.hub.session import commands
from tests.pipelines import WEIGHTS, component, write_base
from tests.writing import kohya, spelled

FIRST, SECOND, UNET = "hf://user/first", "hf://user/shelf/style.safetensors", "hf://user/unet"
CASES = {
    "inspect": [FIRST],
    "convert": [FIRST, "--to", "comfyui"],
    "to-diffusers": [FIRST],
    "to-peft": [SECOND],
    "to-kohya": [FIRST, SECOND],
    "to-comfyui": [SECOND],
    "pipeline": [FIRST, "--base", "base", "-o", "pipeline"],
    "merge": [FIRST, f"{SECOND}:0.5", "--into", UNET, "-o", "merged.safetensors"],
    "resize": [FIRST, "--rank", "2"],
    "scale": [SECOND, "--scale", "0.5"],
    "bake": [FIRST],
    "push": [FIRST, "user/pushed", "--dry-run"],
    "select": [FIRST, "--modules", "*to_q"],
    "drop": [SECOND, "--modules", "*to_q"],
    "combine": [f"{FIRST}:0.5", SECOND],
    "extract": ["hf://user/unet@tuned", f"{UNET}@main", "--rank", "2", "--component", "unet"],
    "check": [SECOND, "--for", "comfyui"],
    "verify": [FIRST, FIRST],
    "diff": [FIRST, FIRST],
    "bundle": [SECOND, "-o", "kit"],
    "metadata": ["set", SECOND, "title=Shoes", "-o", "titled.safetensors"],
}  # fmt: skip
LOCAL = {
    "batch": "runs, whose outputs lie in them",
    "ema": "the checkpoints of a run",
    "space": "folders on this disk",
    "runs": "folders of runs",
    "prune": "takes files from a run",
    "trash": "a run's trash",
    "compact": "replaces files",
    "restore": "replaces files",
    "formats": "takes no source",
}
"""Commands whose sources are folders of this machine, and why."""


@pytest.fixture
def hub(endpoint: Endpoint) -> Endpoint:
    """Two LoRAs that fit one base, and that base, tuned on a branch."""
    endpoint.repository("user/first", private=True).put("first.safetensors", save(kohya()))
    shelf = endpoint.repository("user/shelf")
    shelf.put("style.safetensors", save(kohya(alpha=4.0)))
    shelf.put("other.safetensors", b"never read")
    shelf.put("model_card_images.zip", b"\0" * 100)
    unet = endpoint.repository("user/unet")
    weights = component("unet")
    unet.put(WEIGHTS["unet"], save(weights))
    unet.branches["tuned"] = unet.branches["main"]
    changed = {name: t + (0.1 if "to_" in name else 0) for name, t in weights.items()}
    unet.put(
        WEIGHTS["unet"],
        save({n: t.astype("float32") for n, t in changed.items()}),
        revision="tuned",
    )
    return endpoint


def test_every_command_is_here() -> None:
    assert {*COMMANDS} == {*CASES, *LOCAL}


def test_every_command_takes_an_address(hub: Endpoint, tmp_path: Path) -> None:
    """With what it names by the address, what it writes in the current folder, and no token shown."""
    home, place = tmp_path / "home", tmp_path / "here"
    write_base(place / "base")
    before = set(place.rglob("*"))
    for name, done in zip(
        CASES,
        commands(hub, home, [[name, *words] for name, words in CASES.items()], cwd=place),
        strict=True,
    ):
        assert done.exit_code == 0, (name, done.said)
        assert str(home) not in done.said, name
    written = {path.name for path in {*place.rglob("*")} - before if path.parent == place}
    assert {"pytorch_lora_weights.safetensors", "style_peft", "pipeline"} <= written
    assert {"style-scaled.safetensors", "first-resized.safetensors"} <= written
    cached = [path for path in home.rglob("*") if path.is_file() and "snapshots" in path.parts]
    names = {"first.safetensors", "style.safetensors", WEIGHTS["unet"]}
    assert {path.name for path in cached} == names
    for path in (*home.rglob("*"), *place.rglob("*")):
        if path.is_file():
            assert hub.token.encode() not in path.read_bytes()
    told = json.loads((place / "pipeline" / "checkpoint_metadata.json").read_text())
    assert told["source"]["path"] == "hf://user/first/first.safetensors"
    assert {seen.token for seen in hub.seen("stored_object")} == {""}


@pytest.mark.parametrize("name", sorted({*LOCAL} - {"formats", "space"}))
def test_commands_of_runs_say_that_an_address_is_none(
    endpoint: Endpoint, tmp_path: Path, name: str
) -> None:
    endpoint.repository("user/first").put("first.safetensors", save(kohya()))
    words = {"runs": ["runs", "show"], "trash": ["trash", "list"]}.get(name, [name])
    words += ["--keep-last", "1"] if name == "prune" else []
    [done] = commands(endpoint, tmp_path / "home", [[*words, FIRST]])
    assert done.exit_code in {1, 2}, done.said
    assert "error: " in done.stderr
    assert endpoint.requests == []


def test_only_what_is_read_is_fetched(endpoint: Endpoint, tmp_path: Path) -> None:
    """Of a repository the likeliest adapter and its configuration, as of a folder on the disk."""
    repository = endpoint.repository("user/mixed")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    repository.put("adapter_config.json", json.dumps(config).encode())
    repository.put("adapter_model.safetensors", save(spelled("base_model.model.")))
    for name in (
        "README.md",
        "other.json",
        "images/a.png",
        "kohya.safetensors",
        "sub/adapter_config.json",
    ):
        repository.put(name, b"{}")
    repository.put(
        "checkpoints/checkpoint-5/adapter_model.safetensors", save(spelled("base_model.model."))
    )
    below = "hf://user/mixed/checkpoints/checkpoint-5"
    asked = [
        ["to-kohya", "hf://user/mixed", "--json"],
        ["to-kohya", below, "-o", "five.safetensors"],
    ]
    whole, inner = commands(endpoint, tmp_path / "home", asked, cwd=tmp_path)
    assert whole.exit_code == inner.exit_code == 0, whole.said + inner.said
    assert "hf://user/mixed/adapter_config.json" in whole.said
    read = {seen.path.partition("/main/")[2] for seen in endpoint.seen("resolve")}
    inside = "checkpoints/checkpoint-5/adapter_model.safetensors"
    beside = {"adapter_config.json", "adapter_model.safetensors", "sub/adapter_config.json"}
    assert read - {inside} == beside


def test_offline_the_cache_is_used_and_files_are_files(hub: Endpoint, tmp_path: Path) -> None:
    save_file(kohya(), tmp_path / "mine.safetensors")
    home = tmp_path / "home"
    lines = [
        ["inspect", "--json", FIRST],
        ["to-peft", FIRST, "-o", "one"],
        ["to-peft", FIRST, "-o", "two"],
    ]
    online = commands(hub, home, lines[:2], cwd=tmp_path)
    asked = len(hub.requests)
    offline = commands(
        hub,
        home,
        [*lines, ["inspect", "mine.safetensors"], ["inspect", SECOND], ["to-peft", SECOND]],
        cwd=tmp_path,
        HF_HUB_OFFLINE="1",
    )
    assert [done.exit_code for done in offline] == [0, 0, 0, 0, 1, 1]
    assert len(hub.requests) == asked
    assert offline[0].stdout == online[0].stdout
    assert load_file(tmp_path / "two" / "adapter_model.safetensors").keys()
    for done in offline[4:]:
        assert "not in the Hub's cache, and HF_HUB_OFFLINE is set" in done.stderr
        assert "unset HF_HUB_OFFLINE" in done.stderr


def test_a_cache_serves_where_the_network_is_gone(hub: Endpoint, tmp_path: Path) -> None:
    home = tmp_path / "home"
    commands(hub, home, [["to-peft", FIRST, "-o", "one"]], cwd=tmp_path)
    hub.server.shutdown()
    hub.server.server_close()
    [done] = commands(hub, home, [["to-peft", FIRST, "-o", "two"]], cwd=tmp_path)
    assert done.exit_code == 0, done.said


def test_revisions_are_read_where_they_stand(endpoint: Endpoint, tmp_path: Path) -> None:
    repository = endpoint.repository("user/one")
    repository.put("a.safetensors", save(kohya(alpha=4.0)))
    repository.tags["v1"] = repository.branches["main"]
    repository.branches["next/step"] = repository.branches["main"]
    repository.pull_requests["refs/pr/1"] = repository.branches["main"]
    commit = repository.branches["main"]
    repository.put("a.safetensors", save(kohya(alpha=8.0)))
    before = ["@v1", "@next%2Fstep", "@refs/pr/1", f"@{commit}"]
    lines = [["inspect", "--json", f"hf://user/one{at}/a.safetensors"] for at in before]
    lines += [
        ["inspect", "--json", f"hf://user/one/a.safetensors{at}"] for at in [*before, "@next/step"]
    ]
    lines += [["inspect", "--json", f"hf://user/one{at}"] for at in before]
    lines += [
        ["to-kohya", f"hf://user/one{at}", "--json", "-o", f"{n}.safetensors"]
        for n, at in enumerate(before)
    ]
    lines += [["inspect", "--json", "hf://user/one"]]
    *inspected, now = commands(endpoint, tmp_path / "home", lines, cwd=tmp_path)
    for done in inspected[:-4]:
        assert json.loads(done.stdout)["scales"] == {"1": 4}, done.said
    for number, done in enumerate(inspected[-4:]):
        assert done.exit_code == 0, done.said
        assert load_file(tmp_path / f"{number}.safetensors").keys() == kohya().keys()
    assert json.loads(now.stdout)["scales"] == {"2": 4}


def test_the_library_takes_addresses(hub: Endpoint, tmp_path: Path) -> None:
    code = f"""
import json, lora_convert as lc
found = lc.inspect({FIRST!r})
done = lc.convert({FIRST!r}, "kohya")
with lc.plan_convert({SECOND!r}, "peft") as plan: planned = plan.destination.path
arrays = lc.read_adapter({SECOND!r})
same = lc.verify({FIRST!r}, done.output).equal
told = lc.check({SECOND!r}).path
try: lc.convert("hf://user/shelf/stile.safetensors", "kohya")
except lc.LoraConvertError as error: said = str(error)
print(json.dumps([found.format, done.output, planned, len(arrays.modules), same, told, said]))
"""
    done = hub.python(["-c", code], tmp_path / "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *rest, said = json.loads(done.stdout)
    assert rest == ["kohya", "first_kohya.safetensors", "style_peft", 4, True, SECOND]
    assert "did you mean hf://user/shelf/style.safetensors?" in said


def test_nothing_of_the_hub_is_imported_for_files(endpoint: Endpoint, tmp_path: Path) -> None:
    save_file(kohya(), tmp_path / "mine.safetensors")
    code = (
        "import sys; from lora_convert.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    for words in (["inspect", "mine.safetensors"], ["to-peft", "mine.safetensors"], ["--help"]):
        done = endpoint.python(["-c", code, *words], tmp_path / "home", cwd=tmp_path)
        modules = done.stderr.split()
        assert "lora_convert.cli" in modules
        strange = (
            "huggingface_hub",
            "httpx",
            "lora_convert.storage.hub",
            "lora_convert.storage.remote",
        )
        assert not [name for name in modules if name.startswith(strange)]


def test_whole_pipelines_are_compared(endpoint: Endpoint, tmp_path: Path) -> None:
    """Their weights and documents are fetched, and not what else a repository shows."""
    for number, name in enumerate(("base", "tuned")):
        repository = endpoint.repository(f"user/{name}")
        folder = write_base(tmp_path / name)
        if number:
            weights = load_file(folder / "unet" / WEIGHTS["unet"])
            save_file(
                {n: t + ("to_" in n) for n, t in weights.items()}, folder / "unet" / WEIGHTS["unet"]
            )
        for path in (path for path in folder.rglob("*") if path.is_file()):
            repository.put(path.relative_to(folder).as_posix(), path.read_bytes())
        repository.put("model.ckpt", b"all of it again")
        repository.put("pictures/one.png", b"\0")
    line = ["extract", "hf://user/tuned", "hf://user/base", "--rank", "1", "--json"]
    [done] = commands(endpoint, tmp_path / "home", [line], cwd=tmp_path)
    assert done.exit_code == 0, done.said
    assert json.loads(done.stdout)["output"] == "tuned-lora.safetensors"
    assert str(tmp_path / "home") not in done.said
    fetched = {path.name for path in (tmp_path / "home").rglob("*") if "snapshots" in path.parts}
    assert WEIGHTS["unet"] in fetched
    assert not {"model.ckpt", "one.png"} & fetched


def test_a_copy_in_the_cache_is_never_edited(hub: Endpoint, tmp_path: Path) -> None:
    lines = [["metadata", "set", FIRST, "title=Shoes"], ["metadata", "strip", FIRST, "--all"]]
    lines += [["compact", FIRST], ["metadata", "copy", FIRST, SECOND], ["to-kohya", FIRST]]
    told = commands(hub, tmp_path / "home", lines, cwd=tmp_path)
    assert [done.exit_code for done in told] == [2, 2, 2, 2, 0], [done.said for done in told]
    [cached] = (tmp_path / "home").rglob("first.safetensors")
    assert cached.read_bytes() == save(kohya())
