"""The fields of ``--json`` of push."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from generation.markdown import check_same, field_table
from lora_convert.operations.pushing import Pushed, plan_push

PLANNED = {
    "repository": "where it goes",
    "revision": "the branch",
    "private": "whether the repository is private, if it is made now",
    "card": "the text of the page; of one that is there, what people wrote stays",
    "files": "`{name, bytes}` of each",
    "message": "of the commit",
    "warnings": "sentences for people",
    "status": "`planned`",
}
PUSHED = {
    "status": "`pushed`, or `unchanged`: all of it was there",
    "repository": "where it is",
    "revision": "the branch",
    "url": "of the commit",
    "commit": "its hash",
    "private": "of a repository that was made now, whether it is private; null of one that was there",
    "files": "their names there",
}


def section(run: str) -> str:
    """The tables, from what a push of a small run would be."""
    with TemporaryDirectory() as folder:
        planned = {**plan_push(f"{run}@500", "user/shoes", folder).as_json(), "status": "planned"}
    check_same("JSON fields of push --dry-run", PLANNED, planned)
    pushed = Pushed("pushed", "user/shoes", "main", "", "", True, ("a", "b")).as_json()
    check_same("JSON fields of push", PUSHED, pushed)
    first = {**planned, "files": [{}]}
    return (
        f"## push\n\n{field_table(pushed, PUSHED)}\n\nWith `--dry-run`:\n\n"
        f"{field_table(first, PLANNED)}"
    )
