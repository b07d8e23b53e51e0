"""Signs: widths and depths that tell architectures with the same names apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.architectures import AUTHORS, Architecture, Entry, Sign, fill, find, skeleton

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    inputs: dict[str, int] = {}
    odd = 0
    for shape, entry, numbers in _downs(architecture, header, readings):
        odd += (len(shape) > 2) != (entry.row.kind == "conv")
        names = entry.row.diffusers
        for name in names if entry.namespace in AUTHORS else names[entry.member :][:1]:
            inputs[fill(name, numbers)] = shape[1] if len(shape) > 1 else 0
    verdicts = [_verdict(sign, inputs) for sign in architecture.signs]
    return -verdicts.count(False), verdicts.count(True), -odd


def names_itself(
    architecture: Architecture | None, header: Header, readings: Mapping[str, Reading]
) -> bool:
    """Whether a header shows names of this architecture alone, or a sign of it and none against."""
    if architecture is None or not architecture.own:
        return True
    own = tuple(skeleton(beginning)[0] for beginning in architecture.own)
    if any(skeleton(reading.module)[0].startswith(own) for reading in readings.values()):
        return True
    broken, held, _ = evidence(architecture, header, readings)
    return held > 0 and broken == 0


def _downs(
    architecture: Architecture, header: Header, readings: Mapping[str, Reading]
) -> Iterator[tuple[tuple[int, ...], Entry, tuple[str, ...]]]:
    """Of each ``down`` factor: its shape, its module, and the numbers in the module's name."""
    for key, reading in readings.items():
        if reading.role == "down":
            entry, digits = find(architecture, reading.module, reading.component)
            if entry is not None:
                yield header.tensors[key].shape, entry, entry.wildcards(digits)


def _verdict(sign: Sign, inputs: Mapping[str, int]) -> bool | None:
    """Whether a sign holds; None where the modules present do not tell."""
    before, _, after = sign.module.partition("{}")
    if sign.inputs:
        shown = {
            width
            for name, width in inputs.items()
            if name.startswith(before) and name.endswith(after)
        }
        return len(shown) == 1 and shown <= set(sign.inputs) if shown - {0} else None
    numbers = [name[len(before) :].partition(".")[0] for name in inputs if name.startswith(before)]
    deepest = max((int(number) + 1 for number in numbers if number.isdigit()), default=0)
    if deepest > max(sign.blocks):
        return False
    return True if deepest in sign.blocks else None
