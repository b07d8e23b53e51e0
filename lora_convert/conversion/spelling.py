"""A format bound to an architecture: key ⇄ (component, module, role)."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import ARCHITECTURES, Architecture, Entry, index, skeleton
from lora_convert.conversion.recipes import Reading, Recipe, Recipes
from lora_convert.errors import NotExpressibleError
from lora_convert.formats import COMPONENTS, FORMATS, Ending, Format, written

if TYPE_CHECKING:
    from collections.abc import Iterator


BASE = "base"
"""The role of a frozen weight in a file that holds a whole wrapped model."""

UNKNOWN_COMPONENT = "transformer"
"""Where the adapter of an architecture that nobody knows is put."""

_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_BASE_LEAVES = frozenset({"weight", "bias", "position_ids"})
_ADAPTER_WORDS = ("lora_", "hada_", "lokr_", "oft_", "boft_", "ia3_", "vera_", "modules_to_save")
_LONGEST_ENDING = 6


class _Match(NamedTuple):
    """An ending that a skeleton has, with its numbers told apart from its text."""

    ending: Ending
    numbers: tuple[str, ...]
    tail: str
    tail_numbers: tuple[str, ...]
    body: str
    """What stands before it."""
    adapter: str
    """What stands in the place of an adapter's name."""


class _Endings:
    """A format's endings, found by the last words of a skeleton; shared by its spellings."""

    def __init__(self, format_: Format) -> None:
        self._found: dict[str, tuple[_Match, ...]] = {}
        self._table: dict[str, list[Ending]] = {}
        for ending in format_.endings:
            text = skeleton(ending.text.replace("{}", "*"))[0]
            self._table.setdefault(text, []).append(ending)
        self._last_words = {text.rpartition(".")[2] for text in self._table}

    def matching(self, text: str) -> tuple[_Match, ...]:
        """The longest endings that `text` has: several where they differ in numbers only."""
        found = self._found.get(text)
        if found is None:
            found = self._found[text] = tuple(self._matching(text))
        return found

    def _matching(self, text: str) -> Iterator[_Match]:
        if text.rpartition(".")[2] not in self._last_words and "*" not in self._last_words:
            return
        parts = text.rsplit(".", _LONGEST_ENDING)
        for first in range(1, len(parts)):
            tail = parts[first:]
            for place in (0, -2, -1):
                named = [*tail]
                if place:
                    if len(tail) < -place:
                        continue
                    named[place] = "*"
                endings = self._table.get("." + ".".join(named), ())
                for ending in endings:
                    numbers = skeleton(ending.text.partition("{}")[0])[1]
                    body = text[: -len(".".join(tail)) - 1]
                    adapter = tail[place] if place else ""
                    yield _Match(ending, numbers, *skeleton(ending.tail), body, adapter)
                if endings:
                    return


_words = cache(skeleton)
"""The same for prefixes, which many spellings share."""

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
        self.name = architecture.name if architecture else None
        self._prefixes = tuple(self._prefixes_told())
        self._endings = _endings(format_.name)
        self._write_endings: dict[str, Ending] = {}
        for ending in format_.endings:
            self._write_endings.setdefault(ending.role, ending)
        self._write_prefixes = format_.prefixes_for(self.name)
        self._recipes: dict[str, Recipes] = {}

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
        recipe = self.recipes(text).find(digits)
        return recipe.read(digits) if recipe else None

    def recipes(self, text: str) -> Recipes:
        """Every way to read the keys of a skeleton, the likeliest first."""
        known = self._recipes.get(text)
        if known is None:
            inner = unwrapped(text) if self.format.separator == "." else text
            learned = self._learn(inner) if _BRACES.isdisjoint(text) else ()
            known = self._recipes[text] = Recipes(learned)
        return known

    def _learn(self, text: str) -> Iterator[Recipe]:
        for match in self._endings.matching(text):
            for start, numbers, component, told in self._prefixes:
                if match.body.startswith(start):
                    name = match.body[len(start) :]
                    yield from self._named(name, numbers, component, match, told=told)

    def _named(
        self, name: str, before: tuple[str, ...], component: str, match: _Match, *, told: bool
    ) -> Iterator[Recipe]:
        """Recipes for a module's name between a prefix, of the numbers `before`, and an ending.

        A key's numbers stand in this order: the prefix's, the name's, the ending's, the adapter's.
        """
        ending, numbers, tail, tail_numbers, _, adapter = match
        first, shown = len(before), name.count("#")
        after = first + shown + len(numbers)
        literal = (*enumerate(before), *enumerate(numbers, first + shown))
        own = (adapter.replace("#", "{}"), tuple(range(after, after + adapter.count("#"))))
        said = ending.role, ending.foreign
        if self.architecture is None:
            if name and (component or not _reserved(name)):
                module = name.replace("#", "{}") + ending.tail
                wild = tuple(range(first, first + shown))
                yield Recipe(literal, module, wild, *own, component, "diffusers", *said, told)
            return
        for entry in self._entries(name + tail, component):
            others = entry.digits[shown:]
            if any(want not in ("{}", n) for want, n in zip(others, tail_numbers, strict=True)):
                continue
            wanted = list(enumerate(entry.digits[:shown], first))
            yield Recipe(
                (*literal, *(pair for pair in wanted if pair[1] != "{}")),
                entry.row.names(entry.namespace)[entry.member],
                tuple([at for at, digit in wanted if digit == "{}"]),
                *own,
                entry.component,
                entry.namespace,
                *said,
                told,
                entry,
            )

    def _entries(self, text: str, component: str) -> Iterator[Entry]:
        for candidate in self.architecture.components if self.architecture else ():
            if not component or candidate.name == component:
                yield from index(candidate, self.format.separator).get(text, ())

    def is_base(self, key: str) -> bool:
        """Whether `key` can be a frozen weight of a wrapped model."""
        leaf = key.rpartition(".")[2]
        return leaf in _BASE_LEAVES and not any(word in key for word in _ADAPTER_WORDS)

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
        ending = self._write_endings[role]
        if lone:
            ending = next((e for e in self.format.lone_endings if e.role == role), ending)
        name = module.replace(".", self.format.separator)
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
def _endings(format_name: str) -> _Endings:
    return _Endings(FORMATS[format_name])


def completed(text: str) -> set[str]:
    """What stands before the endings of `text`, with the parts of modules' names that those leave out."""
    return {
        match.body + match.tail
        for name in FORMATS
        for match in _endings(name).matching(text)
        if match.tail
    }


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


def _reserved(name: str) -> bool:
    return name.startswith(_reserved_prefixes())
