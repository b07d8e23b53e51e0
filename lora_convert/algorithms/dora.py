"""DoRA. W' = m · (W + ΔW) / ‖W + ΔW‖, with ΔW a LoRA's (arXiv 2402.09353).

The magnitude ``m`` is (O) where the norm runs over each output row (PEFT, LyCORIS wd_on_out), and
(1, I, …) where it runs over each input column (OneTrainer, older LyCORIS). Rows can be parted and
stacked in the first case only: a column's norm needs all rows. All else is as in LoRA.
"""

from __future__ import annotations

from lora_convert.algorithms.lora import (
    canonical,
    change,
    check,
    fitted,
    folded,
    merged,
    parts,
    scaled,
    shape,
    stack_rows,
    take_rows,
)

__all__ = [
    "canonical",
    "change",
    "check",
    "fitted",
    "folded",
    "merged",
    "parts",
    "scaled",
    "shape",
    "stack_rows",
    "take_rows",
]
