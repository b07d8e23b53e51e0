"""The fields of ``--json`` of metadata."""

from __future__ import annotations

from generation.markdown import check_same, field_table
from lora_convert.operations.metadata import plan_set, show_metadata

SHOW = {
    "path": "the file",
    "format": "name of the format, or null",
    "architecture": "name of the architecture, or null where none or several fit",
    "metadata": "the values, whole; of the keys that are named, or of all",
    "listed": "the base under which A1111 lists it; empty for any",
    "problems": "what is wrong with its ModelSpec, in sentences",
}
EDIT = {
    "path": "the file",
    "output": "the file that is written; the same where it is edited in place",
    "bytes": "its size then",
    "added": "keys that are new, with their values",
    "removed": "keys that are taken out, with the values they had",
    "changed": "keys whose values change, with the value before and after",
    "reasons": "of what is taken out: what it tells",
    "notes": "sentences for people",
    "status": "`written`, `unchanged` or, with `--dry-run`, `planned`",
}


def sections(example: str) -> str:
    """Both tables, from what an edit of a fixture would be."""
    shown = show_metadata(example).as_json()
    with plan_set(example, {"modelspec.title": "Shoes"}) as plan:
        edited = {**plan.as_json(), "status": "planned"}
    check_same("JSON fields of metadata show", SHOW, shown)
    check_same("JSON fields of metadata set", EDIT, edited)
    return (
        f"## metadata show\n\n{field_table(shown, SHOW)}\n\n"
        f"## metadata set, copy, strip\n\n{field_table(edited, EDIT)}"
    )
