"""DoRA. W' = m · (W + ΔW) / ‖W + ΔW‖, with ΔW a LoRA's (arXiv 2402.09353).

The magnitude ``m`` is (O) where the norm runs over each output row (PEFT, LyCORIS wd_on_out), and
(1, I, …) where it runs over each input column (OneTrainer, older LyCORIS). Rows can be parted and
stacked in the first case only: a column's norm needs all rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.algorithms import lora
from lora_convert.algorithms._contract import Factors, Part
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.build import cast, reshaped, rows, stack
from lora_convert.tensors.dtypes import common
from lora_convert.tensors.expr import Directed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.facts import Facts
    from lora_convert.tensors.expr import Expr


def by_output(magnitude: Expr) -> bool:
    """Whether the magnitude has one element per output row."""
    return len(magnitude.shape) == 1


def check(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError where the factors or the magnitude do not fit together."""
    lora.check(module, {role: tensor for role, tensor in tensors.items() if role != "magnitude"})
    magnitude, out, into = tensors["magnitude"], tensors["up"].shape[0], tensors["down"].shape[1]
    fits = magnitude.shape == (out,) or (
        magnitude.shape[:2] == (1, into) and all(length == 1 for length in magnitude.shape[2:])
    )
    if not fits:
        raise ShapeError(
            module,
            f"magnitude {list(magnitude.shape)} fits neither {out} outputs nor {into} inputs",
        )


def take_rows(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], facts: Facts
) -> Factors:
    """Rows of W'; all of them, in any order, where the norm runs over columns."""
    magnitude = factors.tensors["magnitude"]
    height = factors.tensors["up"].shape[0]
    if not by_output(magnitude):
        if sum(stop - start for start, stop in ranges) != height:
            raise NotExpressibleError(
                f"{module}: a DoRA whose magnitude runs over input columns cannot be split by rows",
                why="each column's norm needs the rows of every part",
                hint="keep it in kohya's names (--to kohya), where it is one module",
            )
        return _with_magnitude(lora.take_rows(module, factors, ranges, facts), magnitude)
    taken = stack(*(rows(magnitude, start, stop) for start, stop in ranges))
    return _with_magnitude(lora.take_rows(module, factors, ranges, facts), taken)


def stack_rows(module: str, parts: Sequence[Part], facts: Facts) -> Factors:
    """W's one above the other; every part must be there, with its own magnitude per row."""
    magnitudes = [part.factors.tensors.get("magnitude") if part.factors else None for part in parts]
    present = [
        magnitude for magnitude in magnitudes if magnitude is not None and by_output(magnitude)
    ]
    if len(present) != len(parts):
        raise NotExpressibleError(
            f"{module}: DoRA parts can be fused only where each has a magnitude per output row",
            why="a part without one keeps the base weight's own norm, which is not in this file",
            hint="keep it in Diffusers' names (--to diffusers), where the parts stay apart",
        )
    dtype = common(magnitude.dtype for magnitude in present)
    stacked = stack(*(cast(magnitude, dtype) for magnitude in present))
    return _with_magnitude(lora.stack_rows(module, parts, facts), stacked)


def merged(module: str, base: Mapping[str, Expr], factors: Factors) -> dict[str, Expr]:
    """The changed weight, brought to its magnitude; the bias as a LoRA changes it."""
    tensors = lora.merged(module, base, factors)
    weight, magnitude = base["weight"], factors.tensors["magnitude"]
    if not by_output(magnitude):
        magnitude = reshaped(magnitude, (1, weight.shape[1], *(1,) * (len(weight.shape) - 2)))
    changed = Directed(lora.changed(module, weight, factors), magnitude)
    return {**tensors, "weight": cast(changed, weight.dtype)}


def _with_magnitude(factors: Factors, magnitude: Expr) -> Factors:
    return Factors({**factors.tensors, "magnitude": magnitude}, factors.scale)
