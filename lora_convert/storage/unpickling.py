"""A machine that reads a pickle's instructions and runs nothing.

It knows the opcodes that Python writes with protocols 2 to 5 (pickletools, Python 3.13); any other is
refused. What is named is looked up in ``storage.pickled``, never imported. Time and memory are bounded
by the number of instructions and by the sizes of what rules are given.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from lora_convert.errors import CorruptCheckpointError, UnsafePickleError
from lora_convert.storage.pickle_machine import MARK, Machine, RefusedError
from lora_convert.storage.pickle_names import BY_NAME
from lora_convert.storage.pickled import MalformedError, Tensor

MAX_STEPS = 1_000_000
"""Instructions: an optimizer's state of a thousand tensors takes a hundred thousand."""


def unpickle(data: bytes, path: str) -> tuple[Any, list[Tensor]]:
    """The value of a pickle, of plain values, ``Tensor``, ``Named`` and ``Record``, and all its tensors.

    UnsafePickleError where it names what is not allowed or uses an opcode that torch does not write;
    CorruptCheckpointError where it is broken. `path` is for their messages.
    """
    machine = Machine(data)
    try:
        return _run(machine), machine.tensors
    except RefusedError as refused:
        raise UnsafePickleError(path, str(refused), name=refused.name) from refused
    except MalformedError as error:
        raise CorruptCheckpointError(path, f"its pickle is broken: {error}") from error
    except (IndexError, struct.error) as error:
        problem = f"its pickle is broken at byte {machine.at:,}"
        raise CorruptCheckpointError(path, problem) from error


def _run(machine: Machine) -> Any:
    """Follow every instruction up to the stop; what is left on the stack is the value."""
    data, operations = machine.data, _OPERATIONS
    for _ in range(MAX_STEPS):
        code = data[machine.at]
        machine.at += 1
        if code == _STOP:
            return _value(machine)
        operation = operations.get(code)
        if operation is None:
            raise RefusedError(
                f"its pickle uses the opcode {code:#04x}, which torch does not write"
            )
        operation(machine)
    raise MalformedError(f"it has more than {MAX_STEPS:,} instructions")


def _value(machine: Machine) -> Any:
    if machine.at != len(machine.data):
        raise MalformedError(f"it goes on after its end, at byte {machine.at:,}")
    if machine.mentions and not machine.members:
        raise RefusedError(f"its pickle asks for {BY_NAME!r}", BY_NAME)
    value = machine.pop()
    if machine.stack:
        raise MalformedError("it leaves more than one value")
    return value


def _constant(value: Any) -> Callable[[Machine], None]:
    return lambda m: m.push(value)


def _sized(form: str, decode: Callable[[Machine, bytes], Any]) -> Callable[[Machine], None]:
    """A value whose length stands before it."""
    return lambda m: m.push(decode(m, m.take(m.number(form))))


def _bytes(machine: Machine, data: bytes) -> bytes:
    return data


def _old_text(machine: Machine, data: bytes) -> Any:
    """Python 2's str: text where it is ASCII."""
    return data.decode("ascii") if data.isascii() else data


def _long(machine: Machine, data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _with_keywords(machine: Machine) -> None:
    if machine.pop():
        raise MalformedError("an object is made with keywords")
    machine.make()


_STOP = ord(".")
_OPERATIONS: dict[int, Callable[[Machine], None]] = {
    0x80: lambda m: _protocol(m, m.number("<B")),  # PROTO
    0x95: lambda m: _frame(m, m.number("<Q")),  # FRAME
    ord("("): lambda m: m.push(MARK),
    ord("0"): lambda m: _nothing([m.stack.pop()]),  # POP
    ord("1"): lambda m: _nothing(m.marked()),  # POPMARK
    ord("2"): lambda m: m.push(_same(m)),  # DUP
    ord("N"): _constant(None),
    0x88: _constant(True),
    0x89: _constant(False),
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("<B")),
    ord("M"): lambda m: m.push(m.number("<H")),
    0x8A: _sized("<B", _long),
    0x8B: _sized("<I", _long),
    ord("G"): lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    ord("X"): _sized("<I", Machine.text),
    0x8C: _sized("<B", Machine.text),
    0x8D: _sized("<Q", Machine.text),
    ord("U"): _sized("<B", _old_text),
    ord("T"): _sized("<I", _old_text),
    ord("C"): _sized("<B", _bytes),
    ord("B"): _sized("<I", _bytes),
    0x8E: _sized("<Q", _bytes),
    0x96: _sized("<Q", _bytes),  # BYTEARRAY8
    ord("]"): lambda m: m.push([]),
    ord("}"): lambda m: m.push({}),
    ord(")"): _constant(()),
    0x8F: lambda m: m.push([]),  # EMPTY_SET: a set stands as a list
    ord("a"): lambda m: m.append(m.last(1)),
    ord("e"): lambda m: m.append(m.marked()),
    0x90: lambda m: m.append(m.marked()),  # ADDITEMS
    0x91: lambda m: m.push(m.marked()),  # FROZENSET
    ord("l"): lambda m: m.push(m.marked()),
    ord("s"): lambda m: m.insert(m.last(2)),
    ord("u"): lambda m: m.insert(m.marked()),
    ord("d"): lambda m: _new_dict(m, m.marked()),
    ord("t"): lambda m: m.push(tuple(m.marked())),
    0x85: lambda m: m.push(tuple(m.last(1))),
    0x86: lambda m: m.push(tuple(m.last(2))),
    0x87: lambda m: m.push(tuple(m.last(3))),
    ord("c"): lambda m: m.name(m.line(), m.line()),
    0x93: lambda m: m.name(*m.last(2)),  # STACK_GLOBAL
    ord("R"): Machine.make,
    0x81: Machine.make,  # NEWOBJ
    0x92: _with_keywords,  # NEWOBJ_EX
    ord("b"): Machine.build,
    ord("Q"): Machine.storage,  # BINPERSID
    ord("h"): lambda m: m.recall(m.number("<B")),
    ord("j"): lambda m: m.recall(m.number("<I")),
    ord("q"): lambda m: m.keep(m.number("<B")),
    ord("r"): lambda m: m.keep(m.number("<I")),
    0x94: lambda m: m.keep(m.kept),  # MEMOIZE
}


def _protocol(machine: Machine, version: int) -> None:
    if not 2 <= version <= 5 or machine.at != 2:
        raise MalformedError(f"it says protocol {version}")


def _frame(machine: Machine, size: int) -> None:
    if size > len(machine.data) - machine.at:
        raise MalformedError("it is cut")


def _nothing(values: list[Any]) -> None:
    """Values are dropped."""


def _same(machine: Machine) -> Any:
    value = machine.pop()
    machine.push(value)
    return value


def _new_dict(machine: Machine, values: list[Any]) -> None:
    machine.push({})
    machine.insert(values)
