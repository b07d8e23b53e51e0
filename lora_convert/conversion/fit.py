"""Make every delta expressible in a format, and record what that costs."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from lora_convert.algorithms import ALGORITHMS, Holder, factors_of, with_factors
from lora_convert.architectures import find
from lora_convert.errors import NotExpressibleError
from lora_convert.formats import is_configured, written
from lora_convert.planning import Loss
from lora_convert.tensors.arithmetic import Contracted
from lora_convert.tensors.build import cast
from lora_convert.tensors.dtypes import FLOATS, holds_exactly
from lora_convert.tensors.expr import Expr, Times, Zeros

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    losses = [*_unequal_losses(adapter.deltas, deltas), *_dtype_losses(deltas, dtype)]
    if dtype:
        deltas = [
            delta._replace(
                tensors={
                    role: cast(t, dtype) if t.dtype in FLOATS else t
                    for role, t in delta.tensors.items()
                }
            )
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
        algorithms = {
            delta.algorithm
            for delta in deltas
            if delta.component == component and is_configured(delta.algorithm)
        }
        if len(algorithms) > 1:
            raise NotExpressibleError(
                f"{component}: {format_.title} cannot hold {' and '.join(sorted(algorithms))} side by side",
                why="its configuration names one algorithm for all modules of a component",
                hint="keep it in kohya's names (--to kohya)",
            )
    return [
        _with_bias(delta) if delta.component in biased and is_configured(delta.algorithm) else delta
        for delta in deltas
    ]


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
    entry, _ = find(architecture, delta.module, delta.component)
    holder = Holder(
        title=format_.title,
        holds=partial(format_.holds, delta.algorithm, module=delta.module),
        kind=entry.row.kind if entry else "",
        magnitude=format_.magnitude,
        scales=format_.scale_in != "tensor",
    )
    factors = ALGORITHMS[delta.algorithm].algebra.fitted(delta.label, factors_of(delta), holder)
    unknown = [role for role in factors.tensors if not holder.holds(role)]
    if unknown:
        raise _unheld(delta, format_, unknown)
    return with_factors(delta, factors)


def _unheld(delta: Delta, format_: Format, roles: list[str]) -> NotExpressibleError:
    able = _writing(delta.algorithm, roles)
    hints = [f"--to {able} can hold it"] if able else []
    algebra = ALGORITHMS[delta.algorithm].algebra
    if algebra.change(factors_of(delta)) is not None:
        hints.append("--as lora --rank R writes the nearest LoRA")
    elif not able:
        hints.append("lora-convert merge puts it into a base")
    algorithm = ALGORITHMS[delta.algorithm]
    beside = [role for role in roles if role in algorithm.may]
    what = (
        f"the {' and '.join(beside)} of a {delta.algorithm}" if beside == roles else algorithm.short
    )
    return NotExpressibleError(
        f"{delta.label}: {format_.title} has no place for {what}", hint="; ".join(hints)
    )


def _writing(algorithm: str, roles: list[str]) -> str:
    """The formats that have a spelling for all of some roles, for people."""
    able = [
        name
        for name, format_ in written().items()
        if all(format_.holds(algorithm, role) for role in roles)
    ]
    return " or ".join(able)


def _unequal_losses(before: Sequence[Delta], after: Sequence[Delta]) -> list[Loss]:
    """What some roles do that those of the format in their place do not."""
    counted: Counter[tuple[str, str]] = Counter()
    for old, new in zip(before, after, strict=True):
        algorithm = ALGORITHMS[old.algorithm]
        for role, other, does in algorithm.unequal:
            if (
                role in old.tensors
                and other in new.tensors
                and algorithm.algebra.shape(old.tensors)[0]
            ):
                counted[role, does] += 1
    return [
        Loss("reader gap", f"{count} modules: {role} {does}; what is written does not", count)
        for (role, does), count in counted.items()
    ]


def _dtype_losses(deltas: list[Delta], dtype: str | None) -> list[Loss]:
    losses = []
    narrowed = {
        tensor.dtype: 0
        for delta in deltas
        for tensor in delta.tensors.values()
        if dtype and tensor.dtype in FLOATS and not holds_exactly(tensor.dtype, dtype)
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
