"""The fields of ``--json`` of the commands that change adapters, as they print them."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from generation.markdown import check_same
from lora_convert.operations.editing import Writing
from lora_convert.operations.resize import plan_resize
from lora_convert.operations.resizing import Limits

RESIZED = {
    "ranks": "rank to number of modules",
    "errors": "of each module ‖ΔW − kept‖ / ‖ΔW‖, Frobenius, before the factors are rounded to their dtype",
}
"""What these commands say beside the fields of convert."""


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
