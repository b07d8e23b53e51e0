"""The fields of ``--json`` of the commands that change adapters, as they print them."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from generation.markdown import check_same
from lora_convert.operations.diff import ModuleDifference, Side, diff
from lora_convert.operations.editing import Writing
from lora_convert.operations.resize import plan_resize
from lora_convert.operations.resizing import Limits

RESIZED = {
    "ranks": "rank to number of modules",
    "errors": "of each module ‖ΔW − kept‖ / ‖ΔW‖, Frobenius, before the factors are rounded to their dtype",
}
"""What these commands say beside the fields of convert."""
RECAST = {
    "lost": "of each module that was cut ‖ΔW − written‖ / ‖ΔW‖, Frobenius; not with `--dry-run`",
}
COMBINED = {
    "adapters": "`{path, weight}` of each LoRA; `source` is the first",
    "method": "as asked for",
    "ranks": RESIZED["ranks"],
    "errors": "the same as of resize, of modules that were cut; not with `--dry-run`",
}
EXTRACTED = {
    "base": "as given",
    "unchanged": "number of modules whose weights are the base's",
    "ranks": RESIZED["ranks"],
    "errors": "the same as of resize; not with `--dry-run`",
}
DIFF = {
    "first": "as given",
    "second": "as given",
    "equal": "whether they act alike, as `verify` says",
    "worst": "largest relative difference of ΔW; null where infinite",
    "headers": "what is said of both and differs, by name, as a list of two",
    "modules": f"`{{{', '.join(ModuleDifference._fields)}}}`, where first and second are"
    f" `{{{', '.join(Side._fields)}}}`, or null where there is no such module; `used` is the lowest rank"
    " that has 99 % of ‖ΔW‖², `norm` is ‖ΔW‖",
}


class Printed:
    """Objects that commands print about an adapter, and the fields they have beside those of convert."""

    def __init__(self, example: str, usual: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            writing = Writing(output=os.path.join(folder, "out.safetensors"))
            with plan_resize(example, Limits(rank=2), writing=writing) as plan:
                resized = plan.apply().as_json()
        self.resized = {name: value for name, value in resized.items() if name not in usual}
        check_same("JSON fields of resize", RESIZED, {*self.resized} - {"proof"})
        self.resized = {name: resized[name] for name in RESIZED}
        self.recast: dict[str, Any] = {"lost": {}}
        self.combined = {"adapters": [], "method": "", "ranks": {}, "errors": {}}
        self.extracted = {"base": "", "unchanged": 0, "ranks": {}, "errors": {}}
        self.diff = {"first": "", "second": "", **diff(example, example).as_json()}
        check_same("JSON fields of diff", DIFF, self.diff)
