"""A format bound to an architecture: key ⇄ (component, module, role)."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import ARCHITECTURES, Architecture, Entry, index, skeleton
from lora_convert.conversion.recipes import Literal, Name, Names, Reading, Way
from lora_convert.errors import NotExpressibleError
from lora_convert.formats import COMPONENTS, FORMATS, Ending, Format, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


BASE = "base"
"""The role of a frozen weight in a file that holds a whole wrapped model."""

UNKNOWN_COMPONENT = "transformer"
"""Where the adapter of an architecture that nobody knows is put."""

_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_BASE_LEAVES = frozenset({"weight", "bias", "position_ids"})
ADAPTER_WORDS = ("lora_", "hada_", "lokr_", "oft_", "boft_", "ia3_", "vera_", "modules_to_save")
_LONGEST_ENDING = 6


class _Match(NamedTuple):
    """An ending that a skeleton has, with its numbers told apart from its text."""

    ending: Ending
    numbers: tuple[str, ...]
    body: str
    """What stands before it."""
    adapter: str
    """What stands in the place of an adapter's name."""


class _Endings:
    """Endings of formats, found by the last words of a skeleton."""

    def __init__(self, formats: Iterable[str]) -> None:
        self._found: dict[str, dict[str, tuple[_Match, ...]]] = {}
        self._table: dict[str, dict[str, list[tuple[Ending, tuple[str, ...]]]]] = {}
        for name in formats:
            for ending in FORMATS[name].endings:
                text = skeleton(ending.text.replace("{}", "*").replace(":", "."))[0]
                numbers = skeleton(ending.text.partition("{}")[0])[1]
                known = self._table.setdefault(text, {}).setdefault(name, [])
                known.append((ending, numbers))
        self._last_words = {text.rpartition(".")[2] for text in self._table}

    def matching(self, text: str) -> Mapping[str, tuple[_Match, ...]]:
        """By format: the longest of its endings that `text` has; several where only numbers differ."""
        found = self._found.get(text)
        if found is None:
            found = self._found[text] = {}
            for tail, adapter, body in self._tails(text):
                for name, endings in self._table.get(tail, {}).items():
                    if name not in found:
                        found[name] = tuple(_Match(*one, body, adapter) for one in endings)
        return found

    def _tails(self, text: str) -> Iterator[tuple[str, str, str]]:
        """What may be an ending, the longest first, with the adapter's name in it and what stands before."""
        dotted = text.replace(":", ".")
        if dotted.rpartition(".")[2] not in self._last_words and "*" not in self._last_words:
            return
        parts = dotted.rsplit(".", _LONGEST_ENDING)
        for first in range(1, len(parts)):
            tail = parts[first:]
            body = text[: -len(".".join(tail)) - 1]
            yield "." + ".".join(tail), "", body
            for place in (-2, -1):
                if len(tail) >= -place:
                    named = [*tail]
                    named[place] = "*"
                    yield "." + ".".join(named), tail[place], body


_words = cache(skeleton)
"""The same for what many spellings share: prefixes, and what endings leave out of names."""

_BRACES = frozenset("{}")
"""Marks of patterns, which no module's name has."""


def unwrapped(key: str) -> str:
    """`key` without the names that torch.compile, DDP, FSDP and checkpointing add."""
    key = key.removeprefix("module.")
    for wrapper in _WRAPPERS:
        if wrapper in key:
            key = key.replace(wrapper, "")
    while key.startswith("base_model.model.base_model.model."):
        key = key.removeprefix("base_model.model.")
    return key


class Spelling:
    """One format's names for one architecture's modules; without an architecture, for any dotted path."""

    def __init__(self, format_: Format, architecture: Architecture | None) -> None:
        self.format = format_
        self.architecture = architecture
        self._endings = _endings()
        self.name = architecture.name if architecture else None
        self._prefixes = tuple(self._prefixes_told())
        self._write_endings: dict[str, Ending] = {}
        for ending in (one for one in format_.endings if not (one.tail or one.foreign)):
            self._write_endings.setdefault(ending.role, ending)
        self._write_prefixes = format_.prefixes_for(self.name)
        self._ways: dict[str, tuple[Way, ...]] = {}
        self._names: dict[tuple[str, str], Names] = {}
        """By the text before an ending, and what the ending leaves out of a name."""

    def _all_prefixes(self) -> Iterator[tuple[str, str]]:
        """Prefix and component (empty for any), longest first: a key is read by the first that fits."""
        named = self.format.prefixes_for(self.name)
        known = (
            {component.name for component in self.architecture.components}
            if self.architecture
            else None
        )
        pairs = [
            (prefix, component)
            for component, prefixes in named.items()
            for prefix in prefixes
            if known is None or component in known
        ]
        pairs += [(prefix, "") for prefix in self.format.shared_prefixes]
        yield from sorted(pairs, key=lambda pair: -len(pair[0]))
        if self.format.bare:
            yield "", ""

    def _prefixes_told(self) -> Iterator[tuple[str, tuple[str, ...], str, bool]]:
        """Their text, numbers and component, and whether they tell that one from an architecture's others."""
        pairs = tuple(self._all_prefixes())
        named = [prefix for prefix, _ in pairs]
        for prefix, component in pairs:
            alone = self.architecture is None or named.count(prefix) == 1
            yield *_words(prefix), component, bool(component) and alone

    def parse(self, key: str) -> Reading | None:
        """What `key` says, or None where this spelling has no such key."""
        text, digits = skeleton(key)
        found = filter(None, (way.find(digits) for way in self.ways(text)))
        recipe = next(found, None)
        return recipe.read(digits) if recipe else None

    def ways(self, text: str) -> tuple[Way, ...]:
        """Every way to read the keys of a skeleton."""
        known = self._ways.get(text)
        if known is None:
            inner = unwrapped(text) if self.format.separator == "." else text
            learned = self._learn(inner) if _BRACES.isdisjoint(text) else ()
            known = self._ways[text] = tuple(learned)
        return known

    def _learn(self, text: str) -> Iterator[Way]:
        """A key's numbers stand in this order: the prefix's, the name's, the ending's, the adapter's."""
        for ending, numbers, body, adapter in self._endings.matching(text).get(
            self.format.name, ()
        ):
            names = self._names.get((body, ending.tail))
            if names is None:
                names = self._names[body, ending.tail] = Names(self._named(body, ending.tail))
            if names:
                said = ending.role, adapter.replace("#", "{}"), ending.foreign
                yield Way(names, body.count("#"), numbers, *said)

    def _named(self, body: str, tail: str) -> Iterator[tuple[Literal, Name]]:
        """The names that a text before an ending may be, and the numbers that each must show."""
        for start, before, component, told in self._prefixes:
            if body.startswith(start):
                name = body[len(start) :]
                found = self._within if self.architecture else _any
                for literal, one in found(name, tail, len(before), component, told=told):
                    yield (*enumerate(before), *literal), one

    def _within(
        self, name: str, tail: str, first: int, component: str, *, told: bool
    ) -> Iterator[tuple[Literal, Name]]:
        """The architecture's modules of that name, after a prefix of `first` numbers."""
        shown = name.count("#")
        text, numbers = _words(tail)
        for entry in self._entries(name + text, component):
            digits = entry.digits
            if all(want in ("{}", n) for want, n in zip(digits[shown:], numbers, strict=True)):
                wanted = tuple(enumerate(digits[:shown], first))
                wild = tuple([place for place, digit in wanted if digit == "{}"])
                module = entry.module or entry.row.names(entry.namespace)[entry.member]
                known = Name(entry.component, module, wild, entry.namespace, told, entry)
                yield tuple([pair for pair in wanted if pair[1] != "{}"]), known

    def _entries(self, text: str, component: str) -> Iterator[Entry]:
        for candidate in self.architecture.components if self.architecture else ():
            if not component or candidate.name == component:
                yield from index(candidate, self.format.separator).get(text, ())

    def is_base(self, key: str) -> bool:
        """Whether `key` can be a frozen weight of a wrapped model."""
        leaf = key.rpartition(".")[2]
        return leaf in _BASE_LEAVES and not any(word in key for word in ADAPTER_WORDS)

    def spell(
        self,
        component: str,
        module: str,
        role: str,
        adapter: str = "default",
        *,
        lone: bool = False,
    ) -> str:
        """The key for a module's tensor; parts of a folder come before a slash.

        `lone` asks for the endings of a text encoder none of whose attention is adapted.
        """
        ending = self._write_endings.get(role) or self.format.ending(role, module)
        assert ending, "what is written was fitted to the format"
        if lone:
            ending = next((e for e in self.format.lone_endings if e.role == role), ending)
        name = module.removesuffix(ending.tail).replace(".", self.format.separator)
        return f"{self.prefix(component)}{name}{ending.text.format(adapter)}"

    def prefix(self, component: str) -> str:
        """What is written before the names of a component's modules."""
        prefixes = self._write_prefixes.get(component)
        if prefixes is None:
            able = [name for name, other in written().items() if other.names(component, self.name)]
            raise NotExpressibleError(
                f"{self.format.title} has no names for {component}",
                hint=f"--to {' or '.join(able)} can hold it" if able else "give --component",
            )
        return prefixes[0]


@cache
def spelling(format_name: str, architecture_name: str | None) -> Spelling:
    """The spelling of two names in the registries."""
    architecture = ARCHITECTURES[architecture_name] if architecture_name else None
    return Spelling(FORMATS[format_name], architecture)


@cache
def _known_endings(formats: tuple[str, ...]) -> _Endings:
    return _Endings(formats)


def _endings() -> _Endings:
    """Those of today's registry: formats may be added to it."""
    return _known_endings(tuple(FORMATS))


def bodies_of(text: str) -> set[str]:
    """What may stand before the endings of `text`, with the parts of names that those leave out."""
    found = _endings().matching(text).values()
    return {match.body + _words(match.ending.tail)[0] for matches in found for match in matches}


@lru_cache(maxsize=1)
def _reserved_prefixes() -> tuple[str, ...]:
    """What a bare module's name never begins with: it would be another format's prefix."""
    own = {
        prefix
        for format_ in FORMATS.values()
        for prefixes in format_.prefixes.values()
        for prefix in prefixes
    }
    own |= {prefix for format_ in FORMATS.values() for prefix in format_.shared_prefixes}
    own |= {f"{component}/" for component in COMPONENTS}
    own |= {
        "diffusion_model.",
        "model.diffusion_model.",
        "text_encoders.",
        "lycoris_",
        "lora_",
        "bundle_emb.",
    }
    return tuple(skeleton(prefix)[0] for prefix in own)


def _any(
    name: str, tail: str, first: int, component: str, *, told: bool
) -> Iterator[tuple[Literal, Name]]:
    """A name that no architecture has to have, after a prefix of `first` numbers."""
    if name and (component or not _reserved(name)):
        wild = tuple(range(first, first + name.count("#")))
        yield (), Name(component, name.replace("#", "{}") + tail, wild, "diffusers", told)


def _reserved(name: str) -> bool:
    return name.startswith(_reserved_prefixes())
