"""What a pickle held, as JSON has it: for configurations, and for people."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

from lora_convert.storage.pickled import Named, Record, Tensor

_MOST_VALUES = 10_000
_MOST_SHOWN = 40
"""Values of a container that is shown; a longer one is described."""
_MOST_TEXT = 200
_MOST_BITS = 1000
"""Of an integer: a float can hold it, and its digits are few."""
_DEPTH = 6


class Budget:
    """Values that may still be made: what is referred to often would be made often."""

    def __init__(self, count: int) -> None:
        self.left = count

    def take(self) -> bool:
        """Take one; whether there was one left."""
        self.left -= 1
        return self.left >= 0


def is_number(value: object) -> bool:
    """Whether `value` is a number that a float can hold."""
    return type(value) is float or (type(value) is int and value.bit_length() <= _MOST_BITS)


def plain(value: Any) -> Any:
    """`value` with records as their state, names and enumerations as texts; what is too much is None."""
    return _plain(value, Budget(_MOST_VALUES), _DEPTH)


def _plain(value: Any, budget: Budget, depth: int) -> Any:
    if not budget.take() or not depth:
        return None
    if type(value) is Record:
        return _plain(_of_record(value), budget, depth - 1)
    if type(value) is Named:
        return value.path.rpartition(".")[2]
    if type(value) is dict:
        items = value.items() if len(value) <= budget.left else ()
        return {
            str(key): _plain(item, budget, depth - 1)
            for key, item in items
            if type(key) is not Record
        }
    if type(value) in {list, tuple}:
        return [_plain(item, budget, depth - 1) for item in value[: max(budget.left, 0)]]
    if type(value) is float and not isfinite(value):
        return str(value)
    if type(value) is int and not is_number(value):
        return f"an integer of {value.bit_length():,} bits"
    return value if type(value) in {str, int, float, bool} else None


def _of_record(record: Record) -> Any:
    if record.state is not None:
        return record.state
    if record.path.startswith("pathlib."):
        return "/".join(part for part in record.arguments if isinstance(part, str)).replace(
            "//", "/"
        )
    return record.arguments[0] if len(record.arguments) == 1 else list(record.arguments)


def described(value: Any, budget: Budget) -> Any:
    """`value` as JSON has it where it is short, else a few words about it.

    `budget` is shared by all that is described of one checkpoint.
    """
    tensors, values = _counted(value, budget)
    if tensors:
        return f"{tensors} tensors" if tensors > 1 else "a tensor"
    if type(value) is str and len(value) > _MOST_TEXT:
        return value[:_MOST_TEXT] + "…"
    if type(value) is bytes:
        return f"{len(value)} bytes"
    if values > _MOST_SHOWN or budget.left < 0:
        return f"{values} values"
    return plain(value)


def _inside(value: Any) -> Iterable[Any]:
    if type(value) is Record:
        return (value.state, *value.arguments)
    items: Iterable[Any] = value.values() if type(value) is dict else value
    return items


def _counted(value: Any, budget: Budget) -> tuple[int, int]:
    """Tensors and other values in `value`, each container once, as far as the budget goes."""
    tensors, values, waiting, seen = 0, 0, [value], set()
    while waiting and budget.take():
        one = waiting.pop()
        kind = type(one)
        if kind is Tensor:
            tensors += 1
        elif kind not in {dict, list, tuple, Record}:
            values += 1
        elif id(one) not in seen:
            seen.add(id(one))
            waiting += _inside(one)
    return tensors, values
