"""lora-convert metadata: what is shown, what is written, and what neither prints nor writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.cli.test_runs import run
from tests.writing import kohya, peft_folder

TAGS = json.dumps({"10_me": {"sks": 12, "grass": 3}, "5_it": {"sks": 1}})


@pytest.fixture
def shoes(tmp_path: Path) -> Path:
    path = tmp_path / "shoes.safetensors"
    thumbnail = "data:image/jpeg;base64," + 16_000 * "A"
    save_file(
        kohya(),
        path,
        {
            "modelspec.thumbnail": thumbnail,
            "ss_tag_frequency": TAGS,
            "ss_long": 500 * "x",
            "evil": "\x1b[31mred\nformat = pt",
        },
    )
    return path


def said(path: Path) -> dict[str, str]:
    with safe_open(path, "np") as file:
        return file.metadata() or {}


def test_show_is_short_and_steers_no_terminal(shoes: Path) -> None:
    found = run("metadata", "show", shoes)
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(said(shoes))
    assert lines[0].endswith(r"\x1b[31mred\nformat = pt")
    assert lines[1].endswith("image/jpeg, 12.0 kB")
    assert lines[2].endswith("x… (500 B)")
    assert lines[3].endswith("2 tags in 2 folders: sks (×13), grass (×3)")
    assert max(map(len, lines)) < 150
    assert "ModelSpec 1.0.1 needs modelspec.sai_model_spec" in found.stderr
    assert run("metadata", "show", shoes, "-q").stdout.split() == sorted(said(shoes))


def test_show_gives_whole_values_of_keys(shoes: Path) -> None:
    assert run("metadata", "show", shoes, "ss_tag_frequency").stdout == TAGS + "\n"
    assert run("metadata", "show", shoes, "evil").stdout == "\\x1b[31mred\nformat = pt\n"
    fields = json.loads(run("metadata", "show", shoes, "ss_long", "--json").stdout)
    assert fields["metadata"] == {"ss_long": 500 * "x"}
    assert (fields["format"], fields["architecture"]) == ("kohya", "sd1")
    wrong = run("metadata", "show", shoes, "ss_lon")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "ss_long" in wrong.stderr


def test_an_edit_is_shown_before_and_after(shoes: Path) -> None:
    before = shoes.read_bytes()
    planned = run("metadata", "set", shoes, "ss_long=short", "title=a=b", "--dry-run")
    assert planned.stdout.splitlines() == [
        "+ title = a=b",
        f"~ ss_long = {100 * 'x'}… (500 B) → short",
        f"would write {shoes} (18.9 kB)",
    ]
    assert shoes.read_bytes() == before
    done = run("metadata", "set", shoes, "ss_long=short", "title=a=b")
    assert done.stdout.splitlines()[-1] == f"written: {shoes} (18.9 kB)"
    assert said(shoes)["title"] == "a=b"
    again = json.loads(run("metadata", "set", shoes, "title=a=b", "--json").stdout)
    assert (again["status"], again["added"], again["changed"]) == ("unchanged", {}, {})
    assert run("metadata", "set", shoes, "title=c", "-q").stdout == f"{shoes}\n"


def test_set_from_a_document(shoes: Path, tmp_path: Path) -> None:
    document = tmp_path / "said.json"
    document.write_text(json.dumps({"title": "from JSON", "author": "Ünal"}), "utf-8")
    assert run("metadata", "set", shoes, "title=mine", "--from-json", document).exit_code == 0
    assert (said(shoes)["title"], said(shoes)["author"]) == ("mine", "Ünal")
    for text in ('{"steps": 3}', "[]"):
        document.write_text(text)
        assert run("metadata", "set", shoes, "--from-json", document).exit_code == 2


def test_copy_and_strip(shoes: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file(kohya(), other)
    assert run("metadata", "copy", shoes, other, "--only", "ss_*").exit_code == 0
    assert {*said(other)} == {"ss_long", "ss_tag_frequency"}
    shown = run("metadata", "strip", other)
    assert "- ss_tag_frequency = 2 tags" in shown.stdout
    assert "(every tag of the captions, by folder)" in shown.stdout
    assert {*said(other)} == {"ss_long"}


def test_a_folder_means_its_weights(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "run")
    assert run("metadata", "set", folder, "a=b").exit_code == 0
    assert said(folder / "adapter_model.safetensors") == {"a": "b"}


@pytest.mark.parametrize(
    "arguments", [("set",), ("set", "title"), ("set", "=x"), ("strip", "--all", "--only", "x")]
)
def test_usage(shoes: Path, arguments: tuple[str, ...]) -> None:
    before = shoes.read_bytes()
    found = run("metadata", arguments[0], shoes, *arguments[1:])
    assert (found.exit_code, found.stdout) == (2, "")
    assert shoes.read_bytes() == before


def test_inspect_says_what_the_first_file_was(shoes: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.safetensors"
    assert run("to-diffusers", shoes, "-o", there).exit_code == 0
    assert run("metadata", "set", there, "ss_tag_frequency=").exit_code == 0
    back = tmp_path / "back.safetensors"
    assert run("to-kohya", there, "-o", back).exit_code == 0
    lines = run("inspect", back).stdout.splitlines()
    assert next(line for line in lines if "kohya, sd1, header " in line).startswith("first was ")
    assert not any("lora_convert.provenance" in line for line in lines)
    save_file(kohya(), back, {"lora_convert.provenance": "[not ours"})
    assert "lora_convert.provenance = [not ours" in run("inspect", back).stdout
