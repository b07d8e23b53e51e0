"""Signs: widths and depths that tell architectures with the same names apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.architectures import Architecture, Sign, find, skeleton

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.conversion.recipes import Reading
    from lora_convert.header import Header


def evidence(
    architecture: Architecture | None, header: Header, readings: Mapping[str, Reading]
) -> tuple[int, int, int]:
    """How well a header agrees with an architecture, larger being better.

    First no broken signs, then signs that hold, then factors of the dimensions that the table's kinds
    have: files hold 1×1 convolutions in either shape, so this decides only where nothing else does.
    """
    if architecture is None:
        return 0, 0, 0
    inputs = _inputs(header, readings)
    verdicts = [_verdict(sign, inputs) for sign in architecture.signs]
    return (
        -verdicts.count(False),
        verdicts.count(True),
        -_odd_shapes(architecture, header, readings),
    )


def names_itself(
    architecture: Architecture | None, header: Header, readings: Mapping[str, Reading]
) -> bool:
    """Whether a header shows names of this architecture alone, or a sign of it and none against."""
    if architecture is None or not architecture.own:
        return True
    if any(reading.module.startswith(architecture.own) for reading in readings.values()):
        return True
    broken, held, _ = evidence(architecture, header, readings)
    return held > 0 and broken == 0


def _inputs(header: Header, readings: Mapping[str, Reading]) -> dict[str, int]:
    """Width that each module's down factor expects; 0 where unknown."""
    return {
        reading.module: shape[1] if len(shape := header.tensors[key].shape) > 1 else 0
        for key, reading in readings.items()
        if reading.role == "down"
    }


def _verdict(sign: Sign, inputs: Mapping[str, int]) -> bool | None:
    """Whether a sign holds; None where the modules present do not tell."""
    before, _, after = sign.module.partition("{}")
    if sign.inputs:
        shown = {
            width
            for name, width in inputs.items()
            if name.startswith(before) and name.endswith(after)
        }
        return shown == {sign.inputs} if shown - {0} else None
    numbers = [name[len(before) :].partition(".")[0] for name in inputs if name.startswith(before)]
    deepest = max((int(number) + 1 for number in numbers if number.isdigit()), default=0)
    if deepest > sign.blocks:
        return False
    return True if deepest == sign.blocks else None


def _odd_shapes(architecture: Architecture, header: Header, readings: Mapping[str, Reading]) -> int:
    odd = 0
    kinds: dict[str, bool] = {}
    for key, reading in readings.items():
        if reading.role != "down":
            continue
        text = f"{reading.component} {skeleton(reading.module)[0]}"
        if text not in kinds:
            entry, _ = find(architecture, reading.module, reading.component)
            kinds[text] = entry is not None and entry.row.kind == "conv"
        odd += (len(header.tensors[key].shape) > 2) != kinds[text]
    return odd
