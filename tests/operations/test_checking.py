"""What `runs check` finds of a run whose pipelines share files."""

from __future__ import annotations

import json
import os
from pathlib import Path

from safetensors.numpy import save_file

from lora_convert.operations.checking import check_run
from lora_convert.operations.runs import runs_in
from lora_convert.operations.sharing import PIPELINES, SHARED
from lora_convert.storage.linking import place
from lora_convert.storage.store import put_file
from tests.hostile.answering import answer
from tests.writing import kohya, spelled


def run_with_pipeline(folder: Path) -> tuple[Path, Path]:
    """A run with one checkpoint and a pipeline of it; the pipeline's own and its shared file."""
    (folder / "checkpoint-1").mkdir(parents=True)
    save_file(spelled("unet."), folder / "checkpoint-1" / "pytorch_lora_weights.safetensors")
    save_file(kohya(), folder / "big.bin")
    made = folder / PIPELINES / "checkpoint-1"
    made.mkdir(parents=True)
    entry = put_file(str(folder / PIPELINES / SHARED), str(folder / "big.bin")).entry
    place(entry.path, str(made / "shared.safetensors"), "auto", ours=True)
    (made / "own.safetensors").write_bytes(b"own")
    files = {"shared.safetensors": entry.size, "own.safetensors": 3}
    (made / "checkpoint_metadata.json").write_text(json.dumps({"files": files}))
    (folder / "big.bin").unlink()
    return made / "own.safetensors", Path(entry.path)


def test_a_sound_run_is_sound(tmp_path: Path) -> None:
    run_with_pipeline(tmp_path)
    found = check_run(runs_in(str(tmp_path))[0])
    assert (found.entries, found.pipelines, found.problems) == (1, 1, ())
    assert answer(["runs", "check", str(tmp_path)]).exit_code == 0


def test_every_kind_of_damage_is_named(tmp_path: Path) -> None:
    own, shared = run_with_pipeline(tmp_path)
    os.chmod(shared, 0o600)
    data = bytearray(shared.read_bytes())
    data[-1] ^= 1
    shared.write_bytes(data)
    own.unlink()
    problems = check_run(runs_in(str(tmp_path))[0]).problems
    assert len(problems) == 2
    assert str(shared) in problems[0]
    assert problems[1] == f"{own}: is gone"
    result = answer(["runs", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert str(shared) in result.stdout
    assert json.loads(answer(["runs", "check", "--json", str(tmp_path)]).stdout)["entries"] == 1
