"""Make every delta expressible in a format, and record what that costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.algorithms import Factors
from lora_convert.algorithms.dora import by_output
from lora_convert.algorithms.lora import without_mid
from lora_convert.architectures import find
from lora_convert.errors import NotExpressibleError
from lora_convert.formats import written
from lora_convert.planning import Loss
from lora_convert.tensors.build import cast, reshaped
from lora_convert.tensors.dtypes import holds_exactly
from lora_convert.tensors.expr import Contracted, Expr, Times, Zeros

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.adapter import Adapter, Delta
    from lora_convert.architectures import Architecture
    from lora_convert.formats import Format


def fit(
    adapter: Adapter, format_: Format, architecture: Architecture | None, dtype: str | None
) -> tuple[Adapter, list[Loss]]:
    """`adapter` in roles, shapes and dtype that `format_` can hold, and the losses."""
    deltas = [_fitted(delta, format_, architecture) for delta in adapter.deltas]
    if format_.scale_in != "tensor":
        deltas = _uniform(deltas, format_)
    losses = _dtype_losses(deltas, dtype)
    if dtype:
        deltas = [
            delta._replace(tensors={role: cast(t, dtype) for role, t in delta.tensors.items()})
            for delta in deltas
        ]
    return adapter._replace(deltas=tuple(deltas)), losses


def _uniform(deltas: list[Delta], format_: Format) -> list[Delta]:
    """`deltas` as a configuration can say them: what it says holds for every module of a component.

    Biases are zero where a module has none. A LoRA beside DoRAs has no such neutral magnitude: it is
    the norm of the base weight.
    """
    biased = {delta.component for delta in deltas if "bias" in delta.tensors}
    for component in dict.fromkeys(delta.component for delta in deltas):
        algorithms = {delta.algorithm for delta in deltas if delta.component == component}
        if len(algorithms) > 1:
            raise NotExpressibleError(
                f"{component}: {format_.title} cannot hold {' and '.join(sorted(algorithms))} side by side",
                why="use_dora holds for every module, and a plain one's magnitude is not in this file",
                hint="keep it in kohya's names (--to kohya)",
            )
    return [_with_bias(delta) if delta.component in biased else delta for delta in deltas]


def _with_bias(delta: Delta) -> Delta:
    up = delta.tensors["up"]
    return delta._replace(tensors={"bias": Zeros(up.dtype, (up.shape[0],)), **delta.tensors})


def computed_notes(adapter: Adapter) -> list[str]:
    """What of an adapter is computed rather than copied, for people."""
    folded = sum(any(_holds(t, Times) for t in delta.tensors.values()) for delta in adapter.deltas)
    contracted = sum(
        any(_holds(t, Contracted) for t in delta.tensors.values()) for delta in adapter.deltas
    )
    notes = []
    if folded:
        notes.append(
            f"{folded} modules: scales, or what parts of one differ in them, are folded into up, in fp32"
        )
    if contracted:
        notes.append(f"{contracted} modules: the Tucker core is contracted into down, in fp32")
    return notes


def _holds(expr: Expr, kind: type) -> bool:
    if isinstance(expr, kind):
        return True
    inner = getattr(expr, "parts", None) or (getattr(expr, "of", None),)
    return any(part is not None and _holds(part, kind) for part in inner)


def _fitted(delta: Delta, format_: Format, architecture: Architecture | None) -> Delta:
    factors = Factors(delta.tensors, delta.scale)
    if not format_.writes("mid"):
        factors = without_mid(factors)
    tensors = _shaped(delta, factors.tensors, architecture)
    magnitude = tensors.get("magnitude")
    if magnitude is not None:
        tensors["magnitude"] = _magnitude(delta, magnitude, len(tensors["up"].shape), format_)
    unknown = [role for role in tensors if not format_.writes(role)]
    if unknown:
        raise NotExpressibleError(
            f"{delta.label}: {format_.title} has no spelling for {' and '.join(unknown)}",
            hint=f"--to {_writing(unknown)} can hold it",
        )
    return delta._replace(tensors=tensors, scale=factors.scale)


def _writing(roles: list[str]) -> str:
    """The formats that have a spelling for all of some roles, for people."""
    able = [name for name, format_ in written().items() if all(map(format_.writes, roles))]
    return " or ".join(able)


def _shaped(
    delta: Delta, tensors: Mapping[str, Expr], architecture: Architecture | None
) -> dict[str, Expr]:
    """1×1 convolutions and linear layers in the shape their module has: files hold either."""
    shaped = dict(tensors)
    entry, _ = find(architecture, delta.module, delta.component)
    if entry is None or "mid" in shaped:
        return shaped
    pointwise = shaped["down"].shape[2:] in ((), (1, 1))
    for role in ("down", "up") if pointwise else ():
        tensor = shaped[role]
        if entry.row.kind == "conv" and len(tensor.shape) == 2:
            shaped[role] = reshaped(tensor, (*tensor.shape, 1, 1))
        elif entry.row.kind == "linear" and tensor.shape[2:] == (1, 1):
            shaped[role] = reshaped(tensor, tensor.shape[:2])
    return shaped


def _magnitude(delta: Delta, magnitude: Expr, dimensions: int, format_: Format) -> Expr:
    """A magnitude in the shape a format gives it."""
    tail = (1,) * (dimensions - 2)
    if not by_output(magnitude):
        if format_.magnitude == "vector":
            raise NotExpressibleError(
                f"{delta.label}: {format_.title} cannot hold a DoRA whose magnitude runs over input columns",
                why="PEFT's norm runs over output rows; the two differ on every base",
                hint="keep it in kohya's names (--to kohya), which ComfyUI reads exactly",
            )
        return reshaped(magnitude, (1, magnitude.shape[1], *tail))
    height = magnitude.shape[0]
    if format_.magnitude == "column":
        return reshaped(magnitude, (height, 1, *tail))
    return reshaped(magnitude, (1, height, *tail)) if tail else magnitude


def _dtype_losses(deltas: list[Delta], dtype: str | None) -> list[Loss]:
    losses = []
    narrowed = {
        tensor.dtype: 0
        for delta in deltas
        for tensor in delta.tensors.values()
        if dtype and not holds_exactly(tensor.dtype, dtype)
    }
    if narrowed:
        count = sum(
            tensor.dtype in narrowed for delta in deltas for tensor in delta.tensors.values()
        )
        losses.append(
            Loss("dtype narrowed", f"{count} tensors from {', '.join(narrowed)} to {dtype}", count)
        )
    folded = sum(any(_rounds(t) for t in delta.tensors.values()) for delta in deltas)
    if folded:
        losses.append(
            Loss(
                "scale folded",
                f"{folded} modules: a ratio of scales is folded into up and rounded",
                folded,
            )
        )
    return losses


def _rounds(expr: Expr) -> bool:
    """Whether an expression multiplies by something other than a power of two."""
    from math import frexp

    if isinstance(expr, Times) and abs(frexp(expr.factor)[0]) != 0.5:
        return True
    inner = getattr(expr, "parts", None) or (getattr(expr, "of", None),)
    return any(part is not None and _rounds(part) for part in inner)
