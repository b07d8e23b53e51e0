"""What commands do with strangers' files, seen by Python's own audit events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fixtures.hostile.assembling import torch_file
from fixtures.hostile.make import HERE
from tests.hostile.watching import Watched, watched
from tests.storage.making import adapter_tensors, content, peft_folder

ALSO = {
    "difflib",
    "json.scanner",
    "json.decoder",
    "encodings.unicode_escape",
    "encodings.idna",
    "zlib",
    "bisect",
}
"""Imported for messages, or for spellings of a text that a sound file has not."""
GIVEN = {
    "eval": ("compile", "eval('1 + 1')"),
    "exec": ("compile", "exec('x = 1')"),
    "a system command": ("os.system", "import os; os.system('true')"),
    "a process": ("subprocess.Popen", "import subprocess; subprocess.run(['true'])"),
    "a fork": ("os.fork", "import os; os.fork() or os._exit(0)"),
    "a socket": ("socket.__new__", "import socket; socket.socket().close()"),
    "a pickle that calls": (
        "pickle.find_class",
        "import pickle; pickle.loads(b'cos\\nsystem\\n(Vtrue\\ntR.')",
    ),
    "a pickle that names a class": (
        "pickle.find_class",
        "import pickle; pickle.loads(b'cfractions\\nFraction\\n.')",
    ),
    "a file written elsewhere": ("open for writing", "open(writable + '/../written', 'w').close()"),
    "a file opened for appending": (
        "open for writing",
        "open(writable + '/../written', 'a').close()",
    ),
    "a file removed elsewhere": ("os.remove", "import os; os.remove(writable + '/../given')"),
    "a file renamed elsewhere": (
        "os.rename",
        "import os; os.rename(writable + '/x', writable + '/../given')",
    ),
    "a link out of the folder": (
        "os.symlink",
        "import os; os.symlink(writable, writable + '/../link')",
    ),
    "a map": ("mmap.__new__", "import mmap; mmap.mmap(-1, 1).close()"),
    "a library": ("ctypes.dlopen", "import ctypes; ctypes.CDLL('libm.so.6')"),
    "a foreign function": ("ctypes.dlsym", "import ctypes; ctypes.CDLL(None).system"),
    "a variable": ("os.putenv", "import os; os.environ['LD_PRELOAD'] = 'x'"),
    "another hook": ("sys.addaudithook", "import sys; sys.addaudithook(print)"),
}


def commands(sources: Sequence[str], out: Path) -> list[list[str]]:
    """Everything that is done with each of some sources."""
    found: list[list[str]] = []
    for number, source in enumerate(sources):
        found += [
            ["inspect", "--health", "--names", source],
            ["inspect", "--json", source],
            ["to-peft", source, "-o", str(out / f"{number}-peft")],
            ["to-kohya", source, "-o", str(out / f"{number}.safetensors"), "--json"],
            ["to-diffusers", source, "-o", str(out / f"{number}"), "--dtype", "bf16", "--force"],
            ["verify", source, source],
        ]
    return found


def sound(folder: Path) -> list[str]:
    """Sources that take every way there is through the programme."""
    single = folder / "single.safetensors"
    names = {
        name.replace("base_model.model.", "unet."): kind for name, kind in adapter_tensors().items()
    }
    single.write_bytes(content(names, {"é": "\\u00e9"}))
    zipped = folder / "torch.pt"
    zipped.write_bytes(torch_file())
    return [str(peft_folder(folder / "a")), str(single), str(zipped), str(folder / "gone")]


@pytest.mark.parametrize("what", GIVEN)
def test_what_is_looked_for_is_seen(what: str, tmp_path: Path) -> None:
    """The positive control: the same hook, and code that does what no command may."""
    (tmp_path / "out").mkdir()
    for name in ("given", "out/x"):
        (tmp_path / name).write_bytes(b"")
    event, code = GIVEN[what]
    seen = watched([], tmp_path / "out", code=code)
    assert [act for act in seen.acts if act.startswith(event)], seen


def test_files_that_are_read_are_seen(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "given").write_bytes(b"")
    code = "import os; os.close(os.open(writable + '/../given', os.O_RDONLY)); os.listdir(writable)"
    assert watched([], tmp_path / "out", code=code).opened == (str(tmp_path / "given"),)


def test_what_may_be_done_is_not_told_of(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    code = "import os, fractions; open(writable + '/x', 'w').close(); os.remove(writable + '/x')"
    seen = watched([], tmp_path / "out", code=code)
    assert (seen.acts, seen.exit_codes) == ((), ())
    assert "fractions" in seen.imports


def hostile(tmp_path: Path, sources: Sequence[str]) -> Watched:
    """Run all commands over sources; fails where they did more than commands over sound ones do."""
    out = tmp_path / "out"
    out.mkdir()
    usual = watched(commands(sound(tmp_path), out / "sound"), out)
    assert usual.acts == ()
    assert 0 in usual.exit_codes
    seen = watched(commands(sources, out / "hostile"), out)
    assert seen.acts == ()
    foreign = {name for name in seen.imports if not name.startswith("lora_convert.")}
    assert foreign <= usual.imports | ALSO
    assert len(seen.exit_codes) == len(commands(sources, out)), seen.stderr[-2000:]
    return seen


def test_hostile_files_cause_nothing_but_reading_them(tmp_path: Path) -> None:
    """No code, process, socket or map; nothing written elsewhere, and nothing else opened."""
    sources = [str(path) for path in sorted(HERE.glob("*.safetensors"))]
    seen = hostile(tmp_path, sources)
    allowed = (str(HERE), str(tmp_path / "out"))
    assert [path for path in seen.opened if not path.startswith(allowed)] == []
    assert "Traceback" not in seen.stderr


def test_hostile_configurations_cause_nothing_but_reading_them(tmp_path: Path) -> None:
    fields = (
        {"auto_mapping": {"parent_library": "antigravity", "base_model_class": "x"}},
        {"base_model_name_or_path": "https://localhost:9/x", "revision": "../../x"},
        {"init_lora_weights": "__import__('os').system('true')"},
        {"target_modules": "(a+)+$", "alpha_pattern": {"(?P<x>.)(?P=x)": 4}},
        {"peft_type": "__reduce__", "task_type": "os.system"},
        {"trust_remote_code": True, "auto_map": {"AutoModel": "evil.Evil"}},
        {"runtime_config": {"ephemeral_gpu_offload": "!!python/object/apply:os.system [true]"}},
    )
    folders = [peft_folder(tmp_path / "given" / str(n), **some) for n, some in enumerate(fields)]
    seen = hostile(tmp_path, [str(folder) for folder in folders])
    assert all(path.startswith(str(tmp_path)) for path in seen.opened)
