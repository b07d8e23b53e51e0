"""The fields of ``--json`` of pipeline, batch, merge and runs check, as the commands print them."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from generation.markdown import check_same
from lora_convert.cli import main
from tests.pipelines import write_base, write_run

MEANINGS = {
    "source": "the weights, or the folder, of the checkpoint",
    "from": "format of the source",
    "architecture": "name of the architecture, or null",
    "base": "as it was given, or as the run or the adapter names it",
    "base_from": "who named it: `option`, `the run` or `the adapter's configuration`",
    "output": "the pipeline's folder, or the file or folder of LoRA",
    "files": "names of all files of the pipeline, relative to it",
    "bytes": "size of all that is in the output",
    "own_bytes": "of these, what no other checkpoint of the run has",
    "cost": "bytes that the disk would take, with shared files that are not there yet; only with `--dry-run`",
    "modules": "number of modules of the adapter",
    "merged": "number of tensors that are changed",
    "untouched": "number of tensors beside them that stay as they are",
    "notes": "sentences for people",
    "status": "`written`, `unchanged` or, with `--dry-run`, `planned`",
    "written": "bytes that the disk took; not with `--dry-run`",
    "placed": "`written`, `copy`, `reflink`, `hardlink`, `symlink` to number of files; not with `--dry-run`",
    "seconds": "how long it took; not with `--dry-run`",
    "fingerprint": "that of `checkpoint_metadata.json`; not with `--dry-run`",
}
"""Of pipeline; the other commands say only what differs."""
BATCH = {
    "run": "the run's folder; only with `--dry-run`",
    "item": "the checkpoint and what is made of it",
    "source": MEANINGS["source"],
    "output": MEANINGS["output"],
    "status": "`converted`, `skipped`, `failed` or, with `--dry-run`, `planned`",
    "error": "`{type, message}`, with `why` and `next` where there is more to say; only where it failed",
}
MERGE = {
    "into": "the model, as given",
    "adapters": "`{path, strength}` of each LoRA",
    "output": "the file that is written",
    "status": "`written` or, with `--dry-run`, `planned`",
    "seconds": MEANINGS["seconds"],
}
CHECK = {
    "path": "the run's folder",
    "entries": "number of files in the store",
    "bytes": "their size",
    "pipelines": "number of pipelines that were looked at",
    "compacted": "number of compacted files that were rebuilt and hashed",
    "problems": "what is not as it was, in words; empty where all is well",
}


class Printed:
    """Objects that commands print about a small run, and the fields they have."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            base = write_base(Path("base"))
            write_run(Path("run"), base, (500,))
            planned = last_object("pipeline run@500 -o made --dry-run")
            self.pipeline = {**planned, **last_object("pipeline run@500 -o made")}
            unet = "base/unet/diffusion_pytorch_model.safetensors"
            self.merge = last_object(f"merge run@500 --into {unet} -o merged.safetensors")
            tried = last_object("batch run --dry-run")
            made = last_object("batch run")
            self.batch = {**tried, **{name: made[name] for name in BATCH if name in made}}
            self.batch["error"] = {}
            self.check = last_object("runs check run")
        check_same("JSON fields of pipeline", MEANINGS, self.pipeline)
        check_same("JSON fields of batch", BATCH, self.batch)
        check_same(
            "JSON fields of merge", {*MERGE, "bytes", "merged", "untouched", "notes"}, self.merge
        )
        check_same("JSON fields of runs check", CHECK, self.check)


def last_object(command: str) -> dict[str, Any]:
    """The last object that a command prints."""
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(SystemExit),
    ):
        main([*command.split(), "--json"])
    found: dict[str, Any] = json.loads(printed.getvalue().splitlines()[-1])
    return found
