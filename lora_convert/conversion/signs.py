"""Signs: widths and depths that tell architectures with the same names apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lora_convert.architectures import Architecture, Sign, skeleton
from lora_convert.conversion.spelling import BASE, Reading, find

if TYPE_CHECKING:
    from lora_convert.header import Header


def signs(
    architecture: Architecture | None, header: Header, readings: Mapping[str, Reading]
) -> tuple[int, int]:
    """How many signs of `architecture` hold in a header, and how many are broken."""
    if architecture is None:
        return 0, 0
    widths: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for key, reading in readings.items():
        if reading.role == BASE:
            continue
        for text, number in _prefixes(reading.module):
            numbers[text] = max(numbers.get(text, 0), number + 1)
        shape = header.tensors[key].shape
        if reading.role == "down" and len(shape) > 1:
            widths[skeleton(reading.module)[0]] = shape[1]
    verdicts = [_verdict(sign, widths, numbers) for sign in architecture.signs]
    return verdicts.count(True), verdicts.count(False)


def _prefixes(module: str) -> Iterator[tuple[str, int]]:
    """Beginnings of a module's path that end in a number, as (skeleton, number)."""
    segments = module.split(".")
    for position, segment in enumerate(segments):
        if segment.isdigit():
            yield (
                skeleton(".".join(segments[:position]) + ".0")[0]
                + str(_fixed(segments[:position])),
                int(segment),
            )


def _fixed(segments: list[str]) -> tuple[str, ...]:
    return tuple(segment for segment in segments if segment.isdigit())


def _verdict(sign: Sign, widths: Mapping[str, int], numbers: Mapping[str, int]) -> bool | None:
    text, _digits = skeleton(sign.module)
    if sign.inputs:
        width = widths.get(text)
        return None if width is None else width == sign.inputs
    fixed = tuple(digit for digit in sign.module.split(".")[:-1] if digit.isdigit())
    shown = numbers.get(text + str(fixed), 0)
    if shown > sign.blocks:
        return False
    return True if shown == sign.blocks else None


def names_itself(
    architecture: Architecture | None, readings: Mapping[str, Reading], rank: tuple[float, ...]
) -> bool:
    """Whether a header shows names of this architecture alone, or a sign of it and none against."""
    if architecture is None or not architecture.own:
        return True
    if any(reading.module.startswith(architecture.own) for reading in readings.values()):
        return True
    _, _, unbroken, held, _ = rank
    return held > 0 and unbroken == 0


def odd_shapes(
    architecture: Architecture | None, header: Header, readings: Mapping[str, Reading]
) -> int:
    """How many factors have the dimensions of a linear layer where the table has a convolution, or the reverse.

    Files hold 1×1 convolutions in either shape, so this decides only where nothing else does.
    """
    odd = 0
    kinds: dict[str, bool] = {}
    for key, reading in readings.items():
        if reading.role != "down" or architecture is None:
            continue
        text = f"{reading.component} {skeleton(reading.module)[0]}"
        if text not in kinds:
            entry, _ = find(architecture, reading.module, reading.component)
            kinds[text] = entry is not None and entry.row.kind == "conv"
        odd += (len(header.tensors[key].shape) > 2) != kinds[text]
    return odd
