"""The fields of ``--json`` of space, as the command prints them."""

from __future__ import annotations

import tempfile
from contextlib import chdir
from pathlib import Path

from generation.markdown import check_same, field_table
from generation.pipeline_fields import last_object
from lora_convert.operations.estimating import OutputNeed
from lora_convert.operations.file_kinds import KINDS, FileKind
from lora_convert.operations.freeing import Duplicates, Freeing
from tests.pipelines import write_base, write_run

USE = ("path", "bytes", "kinds")
MEANINGS = {
    "paths": "the folders that were walked; one that is in another is left away",
    "bytes": "what they take on the disk, as `du -s -x` counts",
    "files": "number of files, each once however many names it has",
    "folders": "number of folders",
    "linked": "bytes that further names of the same files would take, were they files of their own",
    "free": "bytes that the disk has free, or null where it does not tell",
    "kinds": f"`{{kind, bytes, {', '.join(FileKind._fields)}}}` of each kind that is there",
    "runs": f"`{{{', '.join(USE)}, tool, checkpoints}}`, and of each checkpoint `{{{', '.join(USE)}}}`",
    "elsewhere": f"`{{{', '.join(USE)}}}` of the folders directly in the paths, without what is a run's",
    "duplicates": f"`{{{', '.join(Duplicates._fields)}}}` of each content that several files have",
    "not_compared": "bytes of files that are alike so far, and would have taken too long to compare",
    "passed_over": "`{path, why}` of each folder that is not counted",
    "plan": f"`{{{', '.join(Freeing._fields)}}}` of each command that would free anything",
}
ESTIMATE = {
    "run": "the run's folder",
    "outputs": f"`{{{', '.join(OutputNeed._fields)}}}` of each output that is waiting to be made",
    "own": "bytes that outputs take for themselves",
    "shared": "bytes that the run's store would get, once for all of them",
    "free": "bytes that the disk has free, or null where it does not tell",
    "needed": "`own` and `shared` together",
    "error": "`{type, message}`, with `next`; only where the disk cannot hold what is needed",
}


def space_section() -> str:
    """Both tables, from what the command prints about a small run."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_run(Path("run"), write_base(Path("base")), (500,))
        found = last_object("space run")
        estimated = {**last_object("space run --estimate"), "error": {}}
    check_same("JSON fields of space", MEANINGS, found)
    check_same("JSON fields of space --estimate", ESTIMATE, estimated)
    kinds = ", ".join(f"`{kind}`" for kind in KINDS)
    return (
        f"## space\n\n{field_table(found, MEANINGS)}\n\nAll lists begin with the largest. Kinds: {kinds}.\n\n"
        f"With `--estimate` one object for each run:\n\n{field_table(estimated, ESTIMATE)}"
    )
