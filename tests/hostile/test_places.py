"""No name that a file gives, and no name of a file, leads a command out of its folders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.answering import answer
from tests.hostile.watching import watched
from tests.storage.making import adapter_tensors, content, peft_folder

NAMES = (
    "..",
    ".",
    "",
    "../secret",
    "../secret.safetensors",
    "../../../../../../etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "./secret.safetensors",
    "sub/secret.safetensors",
    "sub/../../secret.safetensors",
    "..\\secret.safetensors",
    "C:\\x.safetensors",
    "C:x.safetensors",
    "a:b",
    "\\\\server\\share\\x.safetensors",
    "\\\\?\\C:\\x.safetensors",
    "CON",
    "nul.txt",
    "COM1.safetensors",
    "x.safetensors.",
    "x.safetensors ",
    " x.safetensors",
    "a\0b.safetensors",
    "../secret.safetensors\0.safetensors",
    "x" * 300 + ".safetensors",
    "x/" * 2000,
    "~/x.safetensors",
    "$HOME/x.safetensors",
    "%2e%2e%2fsecret.safetensors",
    "file:///etc/passwd",
    "https://localhost:9/x.safetensors",
    "hf://someone/model/x.safetensors",
    "‥／secret.safetensors",
    "．．/secret.safetensors",
    "..⁄secret.safetensors",
    "\u202esrotsnetefas.x",
    "a\nb.safetensors",
    "-o",
    "--force",
    "{0.__class__}",
    "a\x1b[2Jb",
    "|true",
    "\ud800",
)
"""Ways out of a folder under POSIX's rules, Windows's, a shell's, a URL's, or to a reader's eye."""
STEMS = (
    "-o",
    "--force",
    "a\nb",
    "a\x1b[2Jb",
    "\u202efdp",
    " ",
    "...",
    "..",
    "CON",
    "a:b",
    "$(touch owned)",
    "{0}",
    "%s",
    "x" * 240,
    "\udcff",
)
"""Names that a file, or a folder, may have on a disk."""


def trapped(tmp_path: Path) -> tuple[Path, Path]:
    """A folder to read and one to write, beside a secret."""
    for name in ("given", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret.safetensors").write_bytes(content(adapter_tensors()))
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "given", tmp_path / "out"


def commands(source: str, out: Path) -> Iterator[list[str]]:
    yield ["inspect", "--names", "--", source]
    for to in ("peft", "diffusers", "kohya", "accelerate"):
        yield ["convert", "--to", to, "-o", str(out / to), "--", source]
        yield ["convert", "--to", to, "-o", str(out / f"{to}.safetensors"), "--", source]


def check_places(sources: list[str], tmp_path: Path) -> None:
    """Run all commands; fails where anything was opened, made or removed outside the two folders."""
    jobs = [
        command
        for number, source in enumerate(sources)
        for command in commands(source, tmp_path / "out" / str(number))
    ]
    secrets = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    seen = watched(jobs, tmp_path / "out")
    allowed = tuple(str(tmp_path / name) for name in ("given", "out"))
    assert seen.acts == ()
    assert [path for path in seen.opened if not path.startswith(allowed)] == []
    assert len(seen.exit_codes) == len(jobs), seen.stderr[-2000:]
    assert "Traceback" not in seen.stderr
    assert {path: path.read_bytes() for path in secrets} == secrets
    assert set(os.listdir(tmp_path)) == {"given", "out", *(path.name for path in secrets)}


def test_shards_that_an_index_names(tmp_path: Path) -> None:
    given, _ = trapped(tmp_path)
    for number, name in enumerate(NAMES):
        folder = given / str(number)
        folder.mkdir()
        index = {"weight_map": dict.fromkeys(adapter_tensors(), name)}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    sources = [str(path) for number in range(len(NAMES)) for path in ((given / str(number)),)]
    sources += [f"{source}/model.safetensors.index.json" for source in sources]
    check_places(sources, tmp_path)
    for source in sources:
        assert answer(["inspect", source]).exit_code == 1


@pytest.mark.parametrize(
    "template",
    [
        ("base_model.model.{}.lora_A.weight", "base_model.model.{}.lora_B.weight"),
        ("{}.to_q.lora_A.weight", "{}.to_q.lora_B.weight"),
        ("base_model.model.to_q.lora_A.{}.weight", "base_model.model.to_q.lora_B.{}.weight"),
        ("lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight"),
    ],
    ids=["module", "component", "adapter", "kohya"],
)
def test_modules_components_and_adapters(template: tuple[str, str], tmp_path: Path) -> None:
    """Names of tensors become names of tensors, never of files."""
    given, _ = trapped(tmp_path)
    sources = []
    for number, name in enumerate(name for name in NAMES if name.isprintable()):
        down, up = (one.replace("{}", name) for one in template)
        others = {f"unet.b.{number}.to_k.lora_A.weight": ("F32", (2, 8))}
        others[f"unet.b.{number}.to_k.lora_B.weight"] = ("F32", (8, 2))
        path = given / f"{number}.safetensors"
        path.write_bytes(content({down: ("F32", (2, 8)), up: ("F32", (8, 2)), **others}))
        sources.append(str(path))
    check_places(sources, tmp_path)


def test_configurations(tmp_path: Path) -> None:
    given, _ = trapped(tmp_path)
    fields = ("base_model_name_or_path", "revision", "peft_type", "task_type", "auto_mapping")
    sources = [
        str(peft_folder(given / f"{number}", **dict.fromkeys(fields, name)))
        for number, name in enumerate(NAMES)
    ]
    check_places(sources, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="names of POSIX")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_files_and_folders_are_called(kind: str, tmp_path: Path) -> None:
    """Also where the output's name is made from it: it lies beside the source, or in the folder given."""
    given, out = trapped(tmp_path)
    for stem in (stem for stem in STEMS if stem != ".."):
        if kind == "folder":
            peft_folder(given / f"in {stem}" / stem)
        else:
            (given / f"in {stem}").mkdir()
            (given / f"in {stem}" / f"{stem}.safetensors").write_bytes(content(adapter_tensors()))
    sources = [str(next(folder.iterdir())) for folder in sorted(given.iterdir())]
    jobs = [
        ["convert", "--to", to, *where, "--", source]
        for number, source in enumerate(sources)
        for to in ("kohya", "peft", "diffusers")
        for where in (["-o", str(out / f"{number}-{to}")], [])
    ]
    seen = watched(jobs, tmp_path)
    allowed = tuple(str(tmp_path / name) for name in ("given", "out"))
    assert seen.acts == ()
    assert [path for path in seen.opened if not path.startswith(allowed)] == []
    assert set(seen.exit_codes) <= {0, 1, 4, 5}
    assert 0 in seen.exit_codes
    assert set(os.listdir(tmp_path)) == {"given", "out", "secret", "secret.safetensors"}
    for folder in given.iterdir():  # what was written lies in the source's folder, not above it
        assert len(list(folder.iterdir())) <= 4
    assert len(list(given.iterdir())) == len(sources)
