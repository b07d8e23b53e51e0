"""The fields of ``--json`` of compact and restore, as the commands print them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from generation.markdown import check_same, field_table
from generation.pipeline_fields import last_object
from tests.pipelines import write_base, write_wrapped_run

COMPACT = {
    "run": "the folder that keeps the bases",
    "files": "every file that was looked at",
    "base_bytes": "bytes of bases that would come into `compacted_bases`",
    "freed": "bytes that the disk would get back, the bases apart",
    "resume_state": "with `--drop-resume-state`, names of what would be moved to the trash",
    "status": "`planned`",
}
FILE = {
    "checkpoint": "the checkpoint it belongs to",
    "path": "the file",
    "status": "`compacted`, `unchanged` where there is nothing to give up, `left` where it was left as it is,"
    " or `planned`",
    "size": "bytes of the file",
    "kept": "bytes that stand in its place; of a plan to within a hundred",
    "base": "whose its frozen tensors are",
    "why": "of a file that is left or unchanged",
    "freed": "bytes that the disk gets back; the base apart, which is kept once",
}
RESTORE = {
    "run": "the folder that keeps the bases",
    "files": "every compacted file",
    "bytes": "bytes that would be written",
    "status": "`planned`",
}
_EACH = "\n\nThat is with `--dry-run`. Else one object for each file, with these fields:\n\n"
RESTORED = {
    "path": "the file",
    "status": "`restored`, `failed`, or `planned`",
    "size": "bytes of the file",
    "why": "of a failure",
}


def sections() -> str:
    """The sections of both commands, of what they print about a small run."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        base = write_base(Path("base"))
        write_wrapped_run(Path("run"), base, base, (500,))
        plan = last_object("compact run --dry-run")
        file = last_object("compact run --yes")
        restore = last_object("restore run --dry-run")
        restored = last_object("restore run --yes")
    for meanings, found in (
        (COMPACT, plan),
        (FILE, file),
        (RESTORE, restore),
        (RESTORED, restored),
    ):
        check_same("JSON fields of compact and restore", meanings, found)
    return (
        f"## compact\n\n{field_table(plan, COMPACT)}{_EACH}{field_table(file, FILE)}\n\n"
        f"## restore\n\n{field_table(restore, RESTORE)}{_EACH}{field_table(restored, RESTORED)}"
    )
