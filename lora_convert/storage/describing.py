"""What a pickle held, as JSON has it: for configurations, and for people."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

from lora_convert.storage.pickled import Named, Record, Tensor

_MOST_SHOWN = 40
"""Values of a container that is shown; a longer one is described."""
_MOST_PIECES = 400
"""Of a container that is shown, with all that it refers to."""
_MOST_TEXT = 200
_MOST_BITS = 1000
"""Of an integer: a float can hold it, and its digits are few."""
_DEPTH = 6


class Budget:
    """Values that may still be made: what is referred to often would be made often."""

    def __init__(self, count: int, longest: int | None = None) -> None:
        self.left = count
        self.longest = longest
        """Letters of a text; None for all."""

    def take(self) -> bool:
        """Take one; whether there was one left."""
        self.left -= 1
        return self.left >= 0

    def holds(self, count: int) -> bool:
        """Whether there are so many left; where there are not, there is none left."""
        if count > self.left:
            self.left = -1
        return self.left >= 0

    def text(self, text: str) -> str:
        """`text`, or its beginning."""
        return text if self.longest is None else shortened(text, self.longest)


def shortened(text: str, longest: int = _MOST_TEXT) -> str:
    """`text`, or its beginning and an ellipsis."""
    return text if len(text) <= longest else text[:longest] + "…"


def is_number(value: object) -> bool:
    """Whether `value` is a number that a float can hold."""
    return type(value) is float or (type(value) is int and value.bit_length() <= _MOST_BITS)


def plain(value: Any, budget: Budget, depth: int = _DEPTH) -> Any:
    """`value` with records as their state, names and enumerations as texts.

    What lies too deep is None; where the budget did not suffice, it has none left.
    """
    if not budget.take() or not depth:
        return None
    if type(value) is Record:
        return plain(_of_record(value), budget, depth - 1)
    if type(value) is Named:
        return value.path.rpartition(".")[2]
    if type(value) is dict:
        return {
            budget.text(str(key)): plain(item, budget, depth - 1)
            for key, item in (value.items() if budget.holds(len(value)) else ())
            if type(key) is not Record
        }
    if type(value) in {list, tuple}:
        return [
            plain(item, budget, depth - 1) for item in (value if budget.holds(len(value)) else ())
        ]
    return _plain_scalar(value, budget)


def _plain_scalar(value: Any, budget: Budget) -> Any:
    if type(value) is float and not isfinite(value):
        return str(value)
    if type(value) is int and not is_number(value):
        return f"an integer of {value.bit_length():,} bits"
    if type(value) is str:
        return budget.text(value)
    return value if type(value) in {int, float, bool} else None


def content(value: Any) -> Any:
    """What an object holds, its state; of OmegaConf's nodes what they wrap; else `value` itself."""
    if type(value) is not Record:
        return value
    if value.path.startswith("omegaconf.") and type(value.state) is dict:
        return value.state.get("_content", value.state.get("_val"))
    return value.state


def _of_record(record: Record) -> Any:
    if record.state is not None:
        return content(record)
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
    if type(value) is bytes:
        return f"{len(value)} bytes"
    few = Budget(_MOST_PIECES, _MOST_TEXT)
    shown = plain(value, few) if values <= _MOST_SHOWN and budget.left >= 0 else None
    return shown if shown is not None and few.left >= 0 else _amount(value, values)


def _amount(value: Any, values: int) -> str | None:
    return None if value is None else f"{values} values"


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
