"""What lies beside factors row by row: biases and magnitudes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.tensors.arithmetic import Sum
from lora_convert.tensors.build import cast, reshaped, rows, stack, times
from lora_convert.tensors.dtypes import FLOATS, common
from lora_convert.tensors.expr import Zeros

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lora_convert.algorithms._contract import Factors, Holder, Part
    from lora_convert.tensors.expr import Expr, Shape

BESIDE = ("bias", "diff_b", "magnitude")
"""Roles that additive algorithms may have beside their factors."""


def taken(of: Expr, ranges: Sequence[tuple[int, int]]) -> Expr:
    """Rows of a tensor, in the order wanted."""
    return stack(*(rows(of, start, stop) for start, stop in ranges))


def is_whole(ranges: Sequence[tuple[int, int]], height: int) -> bool:
    """Whether ranges are all rows, in whatever order."""
    return sum(stop - start for start, stop in ranges) == height


def check_floats(module: str, tensors: Mapping[str, Expr]) -> None:
    """Raise ShapeError for factors that are no floating-point numbers."""
    for role, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise ShapeError(
                module, f"{role} has dtype {tensor.dtype}: quantised factors have no scale here"
            )


def check_matrices(module: str, tensors: Mapping[str, Expr], *roles: str) -> None:
    """Raise ShapeError for factors that are there and no matrices, or are empty."""
    for role in roles:
        shape = tensors[role].shape if role in tensors else (1, 1)
        if len(shape) != 2 or 0 in shape:
            raise ShapeError(module, f"{role} {list(shape)} must be a matrix")


def check_beside(module: str, tensors: Mapping[str, Expr], shape: Shape) -> None:
    """Raise ShapeError for biases and magnitudes that do not fit a weight."""
    for role in ("bias", "diff_b"):
        if role in tensors and tensors[role].shape != shape[:1]:
            raise ShapeError(
                module, f"{role} {list(tensors[role].shape)} does not fit {shape[0]} outputs"
            )
    magnitude = tensors.get("magnitude")
    if magnitude is None:
        return
    columns = len(magnitude.shape) > 1 and magnitude.shape[0] == 1
    columns = columns and all(length == 1 for length in magnitude.shape[2:])
    across = magnitude.shape[1] if columns else 0
    # factors of convolutions may hold inputs and kernel as one number
    fits = across == shape[1] or (across and len(magnitude.shape) > 2 and shape[1] % across == 0)
    if magnitude.shape != shape[:1] and not fits:
        raise ShapeError(
            module,
            f"magnitude {list(magnitude.shape)} fits neither {shape[0]} outputs nor {shape[1]} inputs",
        )


def by_output(magnitude: Expr) -> bool:
    """Whether the magnitude has one element per output row."""
    return len(magnitude.shape) == 1


def canonical_magnitude(factors: Factors, weight: Shape) -> Factors:
    """(O) where a magnitude's norm runs over output rows, whatever the file's shape; else as it is.

    The axis is read from the shape: (O), (O, 1, …) and PEFT's (1, O, 1, 1) run over outputs, (1, I, …) over
    inputs. `weight` is ΔW's shape.
    """
    magnitude = factors.tensors.get("magnitude")
    if magnitude is None:
        return factors
    out, into, shape = weight[0], weight[1], magnitude.shape
    named_by_peft = "lora_magnitude_vector" in getattr(magnitude, "name", "")
    ones = all(length == 1 for length in shape[2:])
    by_column = len(shape) > 1 and shape[0] == 1 and shape[1] == into and not named_by_peft
    if by_column and not (out == 1 and into == 1):
        return factors
    if (ones and shape[:2] in ((out, 1), (1, out))) or shape == (out,):
        reshaped_ = reshaped(magnitude, (out,))
        return factors._replace(tensors={**factors.tensors, "magnitude": reshaped_})
    return factors


def canonical(
    module: str, factors: Factors, check: Callable[..., None], shape: Callable[..., Shape]
) -> Factors:
    """Factors whose magnitude has its canonical shape, checked."""
    plain = {role: tensor for role, tensor in factors.tensors.items() if role != "magnitude"}
    check(module, plain)
    found = canonical_magnitude(factors, shape(plain))
    if len(plain) < len(factors.tensors):
        check(module, found.tensors)
    return found


def fitted_beside(module: str, factors: Factors, dimensions: int, holder: Holder) -> Factors:
    """Biases and magnitude as a format has them; `dimensions` are those of the weight."""
    tensors = dict(factors.tensors)
    bias, plain, scale = tensors.get("bias"), tensors.get("diff_b"), factors.scale.value
    if bias is not None and not holder.holds("bias") and holder.holds("diff_b"):
        added = times(tensors.pop("bias"), scale)
        tensors["diff_b"] = added if plain is None else Sum(added, plain)
    elif plain is not None and not holder.holds("diff_b") and holder.holds("bias") and scale:
        added = times(tensors.pop("diff_b"), 1.0 / scale)
        tensors["bias"] = added if bias is None else Sum(bias, added)
    if "magnitude" in tensors:
        tensors["magnitude"] = _shaped(module, tensors["magnitude"], dimensions, holder)
    return factors._replace(tensors=tensors)


def _shaped(module: str, magnitude: Expr, dimensions: int, holder: Holder) -> Expr:
    """A magnitude in the shape a format gives it."""
    tail = (1,) * (dimensions - 2)
    if not by_output(magnitude):
        if holder.magnitude == "vector":
            raise NotExpressibleError(
                f"{module}: {holder.title} cannot hold a DoRA whose magnitude runs over input columns",
                why="PEFT's norm runs over output rows; the two differ on every base",
                hint="keep it in kohya's names (--to kohya), which ComfyUI reads exactly",
            )
        return reshaped(magnitude, (1, magnitude.shape[1], *tail))
    height = magnitude.shape[0]
    if holder.magnitude == "column":
        return reshaped(magnitude, (height, 1, *tail))
    return reshaped(magnitude, (1, height, *tail)) if tail else magnitude


def taken_beside(
    module: str, factors: Factors, ranges: Sequence[tuple[int, int]], height: int
) -> dict[str, Expr]:
    """Biases and magnitude of some rows."""
    present = {role: factors.tensors[role] for role in BESIDE if role in factors.tensors}
    magnitude = present.get("magnitude")
    if magnitude is not None and not by_output(magnitude):
        if not is_whole(ranges, height):
            raise NotExpressibleError(
                f"{module}: a DoRA whose magnitude runs over input columns cannot be split by rows",
                why="each column's norm needs the rows of every part",
                hint="keep it in kohya's names (--to kohya), where it is one module",
            )
        del present["magnitude"]
        return {
            **{role: taken(tensor, ranges) for role, tensor in present.items()},
            "magnitude": magnitude,
        }
    return {role: taken(tensor, ranges) for role, tensor in present.items()}


def stacked_beside(module: str, parts: Sequence[Part], scale: float) -> dict[str, Expr]:
    """Biases and magnitudes of parts one above the other; `scale` is that of the stack.

    Parts without a bias have zeros. A part without a magnitude has none to be given: NotExpressibleError.
    """
    stacked: dict[str, Expr] = {}
    for role in ("bias", "diff_b"):
        found = [part.factors.tensors.get(role) if part.factors else None for part in parts]
        if all(tensor is None for tensor in found):
            continue
        pieces: list[Expr] = []
        for part, tensor in zip(parts, found, strict=True):
            if tensor is None or part.factors is None:
                pieces.append(Zeros("F16", (part.height,)))
            else:
                ratio = part.factors.scale.value / scale if role == "bias" else 1.0
                pieces.append(times(tensor, ratio))
        stacked[role] = stack_in_common(pieces)
    magnitudes = [part.factors.tensors.get("magnitude") if part.factors else None for part in parts]
    if any(magnitude is not None for magnitude in magnitudes):
        present = [one for one in magnitudes if one is not None and by_output(one)]
        if len(present) != len(parts):
            raise NotExpressibleError(
                f"{module}: DoRA parts can be fused only where each has a magnitude per output row",
                why="a part without one keeps the base weight's own norm, which is not in this file",
                hint="keep it in Diffusers' names (--to diffusers), where the parts stay apart",
            )
        stacked["magnitude"] = stack_in_common(present)
    return stacked


def stack_in_common(parts: Sequence[Expr]) -> Expr:
    """Parts one above the other, in the narrowest dtype that holds all; zeros fit any."""
    given = [part.dtype for part in parts if not isinstance(part, Zeros)]
    dtype = common(given or [part.dtype for part in parts])
    return stack(*(cast(part, dtype) for part in parts))
