"""Exit code 0 means that the output survives a power cut: every file and every new name was synced."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lora_convert.storage.compacted import BASES, RECIPE
from tests.pipelines import write_base, write_wrapped_run
from tests.storage.making import content, peft_folder
from tests.storage.states import state
from tests.storage.tracing import Call, losses, needs_strace, traced, traced_code

OUTPUTS = {
    "a file": ("to-kohya", "o.safetensors"),
    "a file in a new folder": ("to-kohya", "new/o.safetensors"),
    "a file in new folders": ("to-kohya", "new/er/est/o.safetensors"),
    "a file in a folder": ("to-diffusers", "new"),
    "a folder": ("to-peft", "new"),
    "a folder in new folders": ("to-peft", "new/er/est"),
}


@needs_strace
@pytest.mark.parametrize("output", OUTPUTS)
def test_what_is_written_is_synced_before_it_is_named(output: str, tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a", width=64)
    command, path = OUTPUTS[output]
    (tmp_path / "out").mkdir()
    done = traced([command, str(source), "-o", str(tmp_path / "out" / path)], cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert any(call.name == "fsync" for call in done.calls)
    assert losses(done.calls, tmp_path) == []
    assert not (set(done.opened(writing=True)) & set(state(source)))


@needs_strace
def test_what_is_replaced_or_completed_is_synced(tmp_path: Path) -> None:
    """An old file, an old folder that lacks a file, and folders within folders."""
    one, other = peft_folder(tmp_path / "a"), peft_folder(tmp_path / "b", lora_alpha=8)
    out = tmp_path / "out"
    both = tmp_path / "both.safetensors"
    encoder = "text_model.encoder.layers.0.self_attn"
    names = {
        "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": "unet",
        f"base_model.model.{encoder}.q_proj": "text_encoder",
    }
    both.write_bytes(
        content(
            {
                f"{component}.{name.removeprefix('base_model.model.')}.lora_{side}.weight": (
                    "F32",
                    shape,
                )
                for name, component in names.items()
                for side, shape in (("A", (2, 8)), ("B", (8, 2)))
            }
        )
    )
    for arguments in (
        ["to-kohya", str(one), "-o", str(out / "k.safetensors")],
        ["to-kohya", str(other), "-o", str(out / "k.safetensors"), "--force"],
        ["to-peft", str(out / "k.safetensors"), "-o", str(out / "p")],
        ["to-peft", str(both), "-o", str(out / "parts")],
    ):
        done = traced(arguments, cwd=tmp_path)
        assert done.exit_code == 0, done.stderr
        assert losses(done.calls, tmp_path) == []
    (out / "p" / "adapter_config.json").unlink()
    for path in (out / "parts").rglob("*.json"):
        path.unlink()
    (out / "parts" / "text_encoder" / "adapter_model.safetensors").unlink()
    (out / "parts" / "text_encoder").rmdir()
    for source, name in ((out / "k.safetensors", "p"), (both, "parts")):
        done = traced(["to-peft", str(source), "-o", str(out / name), "--force"], cwd=tmp_path)
        assert done.exit_code == 0, done.stderr
        assert losses(done.calls, tmp_path) == []


@needs_strace
@pytest.mark.parametrize("command", ["to-kohya", "to-peft"])
def test_what_is_unchanged_is_synced_too(command: str, tmp_path: Path) -> None:
    """It may be of a run that was killed before it synced, or of a tool that never does."""
    source = peft_folder(tmp_path / "a")
    out = tmp_path / "out" / ("o" if command == "to-peft" else "o.safetensors")
    arguments = [command, str(source), "-o", str(out)]
    first, second = traced(arguments, cwd=tmp_path), traced(arguments, cwd=tmp_path)
    assert second.stdout.startswith("unchanged")
    synced = {call.places[0] for call in second.calls if call.name == "fsync" and not call.result}
    made = [call.texts[-1] for call in first.calls if call.name.startswith("rename")]
    assert str(out) in made
    files = [out] if out.is_file() else list(out.iterdir())
    assert {str(path) for path in (*files, *(path.parent for path in files), out.parent)} <= synced


def call(name: str, at: int, *, texts: tuple[str, ...] = (), places: tuple[str, ...] = ()) -> Call:
    flags = "O_CREAT" if name == "openat" else ""
    return Call(name, texts, places, flags, 0, at, at)


def test_the_law_is_broken_by_what_breaks_it() -> None:
    """The law's own test: a right order, and every order with one sync left out or moved."""
    right = (
        call("mkdir", 0, texts=("/r/d",)),
        call("fsync", 1, places=("/r",)),
        call("openat", 2, texts=("/r/d/t",)),
        call("pwrite64", 3, places=("/r/d/t",)),
        call("fsync", 4, places=("/r/d/t",)),
        call("renameat2", 5, texts=("/r/d/t", "/r/d/o")),
        call("fsync", 6, places=("/r/d",)),
    )
    root = Path("/r")
    assert losses(right, root) == []
    for left_out in (1, 4, 6):
        assert losses([one for one in right if one.began != left_out], root) != []
    late = [one._replace(began=5.5, ended=5.5) if one.began == 4 else one for one in right]  # type: ignore[arg-type]
    assert losses(late, root) != []
    early = [one._replace(began=2.5) if one.began == 4 else one for one in right]  # type: ignore[arg-type]
    assert losses(early, root) != []


@needs_strace
@pytest.mark.skipif(sys.platform != "linux", reason="strace")
def test_a_library_that_does_not_sync_breaks_the_law(tmp_path: Path) -> None:
    """The positive control: the same recorder over safetensors' own writing."""
    code = (
        "import numpy, safetensors.numpy as s; s.save_file({'x': numpy.ones(9)}, 'o.safetensors')"
    )
    done = traced_code(code, cwd=tmp_path)
    assert (tmp_path / "o.safetensors").exists()
    assert losses(done.calls, tmp_path) != []
    assert os.listdir(tmp_path) == ["o.safetensors"]


STORED = {
    "linked": "place('source', 'out/o', 'hardlink', ours=True)",
    "named": "place('source', 'out/o', 'symlink')",
    "copied": "place('source', 'out/o', 'copy')",
    "kept of a file": "put_file('out/shared', 'source', how='copy')",
    "kept of what is written": "put_written('out/shared', lambda d: os.write(d, b'x'), recipe='r')",
    "recorded": "[journal.add(Entry(str(number), 'done', 'f')) for number in range(2)]",
}
STORING = """
import os
from lora_convert.storage.journal import Entry, opened
from lora_convert.storage.linking import place
from lora_convert.storage.store import put_file, put_written
with opened('out/journal') as journal:
    {}
"""


@needs_strace
@pytest.mark.parametrize("work", STORED)
def test_what_is_shared_or_recorded_is_synced(work: str, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * 70_000)
    (tmp_path / "out").mkdir()
    done = traced_code(STORING.format(STORED[work]), cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    found = losses(done.calls, tmp_path / "out")
    assert [loss for loss in found if "/.links." not in loss] == []  # what was only tried


@needs_strace
@pytest.mark.parametrize("command", ["compact", "restore"])
def test_what_a_killed_run_left_is_synced_before_anything_goes(
    command: str, tmp_path: Path
) -> None:
    """Who wrote it may not have brought it to the disk, nor who copied a file back."""
    base = write_base(tmp_path / "base")
    run = write_wrapped_run(tmp_path / "run", base, base)
    originals = {path: path.read_bytes() for path in run.rglob("model.safetensors")}
    assert traced(["compact", str(run), "--yes", "--force"], cwd=tmp_path).exit_code == 0
    for path, data in originals.items():
        path.write_bytes(data)
    made = {
        path: [*path.parent.glob(f"*{RECIPE}"), *path.parent.glob("*adapter*.safetensors")]
        for path in originals
    }
    bases = [path for path in (run / BASES).iterdir() if len(path.name) == 64]
    force = ["--force"] if command == "compact" else []
    done = traced([command, str(run), "--yes", *force], cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    for original, replacements in made.items():
        kept = [*replacements, *bases] if command == "compact" else [original]
        leaving = [original] if command == "compact" else replacements
        assert len(replacements) > 1
        gone = min(_leaves(done.calls, path) for path in leaving)
        synced = {
            call.places[0] for call in done.calls if call.name == "fsync" and call.ended < gone
        }
        assert {str(path) for path in kept} <= synced
        assert {str(path.parent) for path in kept} <= synced


def _leaves(calls: tuple[Call, ...], path: Path) -> int:
    """When a file lost its name."""
    leaving = ("unlink", "rename")
    return next(
        c.began for c in calls if c.name.startswith(leaving) and c.texts[:1] == (str(path),)
    )
