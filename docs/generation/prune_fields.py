"""The fields that ``prune`` and ``trash`` print."""

from __future__ import annotations

from typing import Any

from generation.markdown import check_same
from lora_convert.operations.addresses import run_at
from lora_convert.operations.pruning import Kept, Rules, Taken, plan_prune
from lora_convert.operations.trashing import Trashed
from lora_convert.storage.trash import Entry, Item

MEANINGS = {
    "run": "what stands before the `@` of its checkpoints' addresses",
    "kept": f"`{{path, {Kept._fields[1]}}}` of each checkpoint that stays",
    "taken": f"`{{{', '.join(Taken._fields)}}}` of what goes together; names are seen from the run",
    "left": "`{path, problem}` of what would have gone, but stays",
    "freed": "bytes that are free once the trash is emptied",
    "notes": "sentences for people",
    "status": "`pruned`, `undone`, `unchanged` where nothing was to go, or `planned` with `--dry-run`",
    "item": "id of what is in the trash now, or null",
    "path": "its folder",
    "id": "what `undo` and `empty` take",
    "when": "seconds since 1970",
    "why": "kinds of what was taken: checkpoint, resume state, shared",
    "command": "by which command",
    "entries": f"`{{{', '.join(Entry._fields)}}}` of each thing",
    "names": "what is back, seen from the run",
    "removed": "ids of what is gone for good",
}


class Printed:
    """An example of each."""

    def __init__(self, run: str) -> None:
        plan = plan_prune(run_at(run), Rules(unused=True)).as_json()
        item = Trashed(run, Item("", 0.0, "", "", ())).as_json()
        self.prune: dict[str, Any] = {**plan, "status": "", "item": None}
        self.list: dict[str, Any] = item
        self.undo: dict[str, Any] = {"id": "", "status": "", "names": []}
        self.empty: dict[str, Any] = {"removed": [], "freed": 0}
        found = {*self.prune, *self.list, *self.undo, *self.empty}
        check_same("JSON fields of prune and trash", MEANINGS, found)
