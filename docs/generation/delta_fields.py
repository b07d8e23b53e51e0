"""The fields of ``--json`` of the commands that change adapters, as they print them."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

from safetensors.numpy import save_file

from generation.markdown import check_same
from lora_convert import ModuleArrays, plan_convert, read_adapter
from lora_convert.operations.combine import plan_combine
from lora_convert.operations.diff import ModuleDifference, Side, diff
from lora_convert.operations.editing import Writing
from lora_convert.operations.extract import Extraction, plan_extract
from lora_convert.operations.merging import Added
from lora_convert.operations.resize import plan_resize
from lora_convert.operations.resizing import Limits
from lora_convert.operations.summing import Combination

if TYPE_CHECKING:
    from lora_convert.operations.writing import ConversionPlan

_RANKS = "rank to number of modules, of those that have one"
_ERRORS = (
    "of each module that was cut ‖ΔW − kept‖ / ‖ΔW‖, Frobenius, before its factors are rounded"
)
_LATER = "the same as of resize; not with `--dry-run`"
RESIZED = {"ranks": _RANKS, "errors": _ERRORS}
"""What these commands say beside the fields of convert."""
RECAST = {"ranks": _RANKS, "errors": _LATER}
COMBINED = {
    "adapters": "`{path, weight}` of each LoRA; `source` is the first",
    "method": "as asked for",
    "ranks": _RANKS,
    "errors": _LATER,
}
EXTRACTED = {
    "base": "as given",
    "unchanged": "number of modules whose weights are the base's",
    "ranks": _RANKS,
    "errors": _LATER,
}
DIFF = {
    "first": "as given",
    "second": "as given",
    "equal": "whether they act alike, as `verify` says",
    "worst": "largest relative difference of ΔW; null where infinite",
    "headers": "what is said of both and differs, by name, as a list of two",
    "modules": f"`{{{', '.join(ModuleDifference._fields)}}}`, where first and second are"
    f" `{{{', '.join(Side._fields)}}}`, or null where there is no such module; `used` is the lowest rank"
    " that has 99 % of ‖ΔW‖², `norm` is ‖ΔW‖; null where ΔW can have any rank, or takes the base",
}


class Printed:
    """Objects that commands print about an adapter, and the fields they have beside those of convert."""

    def __init__(self, example: str, usual: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:

            def beside(
                plan: ConversionPlan, documented: dict[str, str], what: str
            ) -> dict[str, Any]:
                with plan:
                    told = plan.apply(force=True).as_json()
                check_same(f"JSON fields of {what}", documented, {*told} - {*usual} - {"proof"})
                return {name: told[name] for name in documented}

            writing = Writing(output=os.path.join(folder, "out.safetensors"))
            resize = plan_resize(example, Limits(rank=2), writing=writing)
            self.resized = beside(resize, RESIZED, "resize")
            added = [Added(example, 1.0), Added(example, 0.5)]
            combine = plan_combine(added, Combination("svd", 1), writing=writing)
            self.combined = beside(combine, COMBINED, "combine")
            recast = plan_convert(example, "kohya", output=writing.output, recast="lora", rank=2)
            self.recast = beside(recast, RECAST, "convert --as")
            weights = {f"{one.module}.weight": one.weight_change() for one in _linear(example)}
            paths = [os.path.join(folder, f"{name}.safetensors") for name in ("tuned", "base")]
            save_file(weights, paths[0])
            save_file({name: weight * 0 for name, weight in weights.items()}, paths[1])
            extract = plan_extract(*paths, Extraction(2, architecture="sd1"), writing=writing)
            self.extracted = beside(extract, EXTRACTED, "extract")
        self.diff = {"first": "", "second": "", **diff(example, example).as_json()}
        check_same("JSON fields of diff", DIFF, self.diff)


def _linear(example: str) -> list[ModuleArrays]:
    return [one for one in read_adapter(example).modules if one.component == "unet"]
