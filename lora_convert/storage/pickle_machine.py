"""The stack and memo of a machine that reads pickles. Nothing that a pickle names is called or imported."""

from __future__ import annotations

import struct
from typing import Any

from lora_convert.storage.pickle_names import ALLOWED, BY_NAME, full_name, is_member, made
from lora_convert.storage.pickled import (
    LIMIT,
    STORAGES,
    MalformedError,
    Named,
    Record,
    Storage,
    Tensor,
    key_of,
)

MAX_BULK = 1 << 26
"""Characters that rules are given; an element of a container counts as `_ELEMENT` of them."""
_ELEMENT = 32
MAX_MEMO = 1 << 21
"""Values that are kept, for which a list serves: hashes of numbers can be chosen to collide."""
MARK = object()
_NOTHING = object()


class RefusedError(Exception):
    """The pickle asks for what only running code could give; by name, where it names it."""

    def __init__(self, problem: str, name: str = "") -> None:
        self.name = name
        super().__init__(problem)


class Machine:
    """A stack, a memo and a place in the instructions."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.memo: list[Any] = []
        self.kept = 0
        self.bulk = MAX_BULK
        self.mentions = self.members = 0
        self.tensors: list[Tensor] = []

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        taken = self.data[self.at : self.at + size]
        if len(taken) < size:
            raise MalformedError("it is cut")
        self.at += size
        return taken

    def number(self, form: str) -> int:
        """The next bytes as an integer."""
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def line(self) -> str:
        """Text up to the end of a line."""
        end = self.data.find(b"\n", self.at, self.at + 1000)
        if end < 0:
            raise MalformedError("a name has no end")
        return self.text(self.take(end + 1 - self.at)[:-1])

    def text(self, data: bytes) -> str:
        """UTF-8, as pickle writes it: half surrogates pass."""
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise MalformedError("a text is not UTF-8") from error

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the value on top; a mark is none."""
        value = self.stack.pop()
        if value is MARK:
            raise MalformedError("a mark is taken for a value")
        return value

    def top(self, kind: type) -> Any:
        """The value on top, which must be a `kind`."""
        value = self.stack[-1]
        if type(value) is not kind:
            raise MalformedError(f"items are put into something that is no {kind.__name__}")
        return value

    def marked(self) -> list[Any]:
        """The values above the last mark; mark and values are taken off."""
        stack = self.stack
        for at in range(len(stack) - 1, -1, -1):
            if stack[at] is MARK:
                values = stack[at + 1 :]
                del stack[at:]
                return values
        raise MalformedError("a mark is missing")

    def keep(self, index: int) -> None:
        """Remember the value on top."""
        memo = self.memo
        if self.stack[-1] is MARK:
            raise MalformedError("a mark is taken for a value")
        if index >= len(memo):
            if index >= MAX_MEMO:
                raise MalformedError(f"it keeps a value as number {index:,}")
            memo += [_NOTHING] * (index + 1 - len(memo))
        self.kept += memo[index] is _NOTHING
        memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Put a remembered value on the stack."""
        if index >= len(self.memo) or self.memo[index] is _NOTHING:
            raise MalformedError(f"it recalls the value {index}, which it never kept")
        self.stack.append(self.memo[index])

    def name(self, module: Any, name: Any) -> None:
        """Put a name on the stack; refused unless it is on the list."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise MalformedError("a name is no text")
        path = full_name(module, name)
        if path == BY_NAME:
            self.mentions += 1
        elif path not in ALLOWED:
            raise RefusedError(f"its pickle asks for {path[:120]!r}", path)
        self.push(Named(path))

    def make(self) -> None:
        """Replace a name and its arguments by the value they stand for."""
        arguments = self.pop()
        named = self.pop()
        if type(named) is not Named:
            raise RefusedError("its pickle calls something that is no name")
        self.spend(arguments, 2)
        if named.path == BY_NAME:
            self.push(self.member(arguments))
            return
        value = made(named.path, arguments)
        if type(value) is Tensor:
            self.tensors.append(value)
        self.push(value)

    def member(self, arguments: Any) -> str:
        """The value of an enumeration's member that is asked for by its name; else refused."""
        if not is_member(arguments):
            raise RefusedError(f"its pickle asks for {BY_NAME!r}", BY_NAME)
        self.members += 1
        value: str = arguments[1]
        return value

    def spend(self, arguments: Any, depth: int) -> None:
        """Count what a rule is given, so that it cannot be given the same again and again."""
        if isinstance(arguments, (tuple, list, dict, str, bytes)):
            each = 1 if isinstance(arguments, (str, bytes)) else _ELEMENT
            self.bulk -= each * len(arguments)
            if self.bulk < 0:
                raise MalformedError("it makes the same of the same again and again")
            if depth and type(arguments) is tuple:
                for argument in arguments:
                    self.spend(argument, depth - 1)

    def build(self) -> None:
        """Give a record its state. A dict's attributes (torch's ``_metadata``) are passed over."""
        state = self.pop()
        value = self.stack[-1]
        if type(value) is Record:
            value.state = state
        elif type(value) is not dict:
            raise MalformedError("a state is given to something that has none")

    def storage(self) -> None:
        """Put a storage on the stack: ``("storage", class, key, device, number of elements)``."""
        value = self.pop()
        if type(value) is not tuple or len(value) != 5 or value[0] != "storage":
            raise MalformedError("it refers to something outside that is no storage")
        _, kind, key, _, count = value
        dtype = STORAGES.get(kind.path.rpartition(".")[2]) if type(kind) is Named else None
        if dtype is None or not isinstance(key, str) or type(count) is not int:
            raise MalformedError("it refers to an impossible storage")
        if not 0 <= count < LIMIT:
            raise MalformedError("it refers to a storage of an impossible size")
        self.push(Storage(key, dtype, count))

    def append(self, values: list[Any]) -> None:
        """Put values at the end of the list below them."""
        self.top(list).extend(values)

    def insert(self, values: list[Any]) -> None:
        """Put keys and values into the dict below them."""
        target = self.top(dict)
        if len(values) % 2:
            raise MalformedError("a key has no value")
        for at in range(0, len(values), 2):
            target[key_of(values[at])] = values[at + 1]

    def last(self, count: int) -> list[Any]:
        """The last `count` values, taken off."""
        return [self.pop() for _ in range(count)][::-1]
