"""A format bound to an architecture: key ⇄ (component, module, role)."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import ARCHITECTURES, Architecture, Entry, index, skeleton
from lora_convert.formats import COMPONENTS, FORMATS, Ending, Format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.adapter import Namespace

BASE = "base"
"""The role of a frozen weight in a file that holds a whole wrapped model."""

UNKNOWN_COMPONENT = "transformer"
"""Where the adapter of an architecture that nobody knows is put."""

_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_BASE_LEAVES = frozenset({"weight", "bias", "position_ids"})
_ADAPTER_WORDS = ("lora_", "hada_", "lokr_", "oft_", "boft_", "ia3_", "vera_", "modules_to_save")
_LONGEST_ENDING = 6


class Reading(NamedTuple):
    """What a key says."""

    component: str
    module: str
    namespace: Namespace
    role: str
    adapter: str
    """The adapter's name where the key holds one."""
    foreign: str
    """The algorithm, where it is one known by name only."""
    told: bool
    """Whether the key itself names the component."""


class _Recipe(NamedTuple):
    """How to read the keys of one skeleton: found once, then used for every block of the model."""

    literal: tuple[tuple[int, str], ...]
    """Numbers that a key must show, by their place among its numbers."""
    module: str
    """Pattern of the module's name."""
    wild: tuple[int, ...]
    """Places of the numbers that fill it."""
    adapter: str
    adapter_wild: tuple[int, ...]
    component: str
    namespace: Namespace
    role: str
    foreign: str
    told: bool

    def fits(self, digits: tuple[str, ...]) -> bool:
        return all(digits[place] == digit for place, digit in self.literal)

    def read(self, digits: tuple[str, ...]) -> Reading:
        module = self.module.format(*[digits[place] for place in self.wild])
        adapter = self.adapter.format(*[digits[place] for place in self.adapter_wild])
        return Reading(
            self.component, module, self.namespace, self.role, adapter, self.foreign, self.told
        )


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
        self._prefixes = tuple(self._all_prefixes())
        self._endings: dict[str, list[Ending]] = {}
        self._write_endings: dict[str, Ending] = {}
        for ending in format_.endings:
            text = skeleton(ending.text.replace("{}", "*"))[0]
            self._endings.setdefault(text, []).append(ending)
            self._write_endings.setdefault(ending.role, ending)
        self._write_prefixes = format_.prefixes_for(self.name)
        self._recipes: dict[str, tuple[_Recipe, ...]] = {}

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

    def parse(self, key: str) -> Reading | None:
        """What `key` says, or None where this spelling has no such key."""
        text, digits = skeleton(key)
        return read_key(self.recipes(text), digits)

    def recipes(self, text: str) -> tuple[_Recipe, ...]:
        """Every way to read the keys of a skeleton, the likeliest first."""
        known = self._recipes.get(text)
        if known is None and not _BRACES.isdisjoint(text):
            known = self._recipes[text] = ()
        if known is None:
            inner = unwrapped(text) if self.format.separator == "." else text
            known = self._recipes[text] = tuple(self._learn(inner))
        return known

    def _learn(self, text: str) -> Iterator[_Recipe]:
        for ending, body, adapter in self._matching_endings(text):
            for prefix, component in self._prefixes:
                start, numbers = skeleton(prefix)
                if body.startswith(start):
                    literal = list(enumerate(numbers))
                    yield from self._named(body[len(start) :], component, literal, ending, adapter)

    def _matching_endings(self, text: str) -> Iterator[tuple[Ending, str, str]]:
        """Endings of a skeleton with the body before them and an adapter's name, the longest only."""
        parts = text.rsplit(".", _LONGEST_ENDING)
        for first in range(1, len(parts)):
            tail = parts[first:]
            body = text[: -len(".".join(tail)) - 1]
            for place in (0, -2, -1):
                named = [*tail]
                if place:
                    if len(tail) < -place:
                        continue
                    named[place] = "*"
                found = self._endings.get("." + ".".join(named), ())
                for ending in found:
                    yield ending, body, tail[place] if place else ""
                if found:
                    return

    def _named(
        self,
        name: str,
        component: str,
        literal: list[tuple[int, str]],
        ending: Ending,
        adapter: str,
    ) -> Iterator[_Recipe]:
        first = len(literal)
        shown = name.count("#")
        tail, tail_numbers = skeleton(ending.tail)
        literal = literal + list(
            enumerate(skeleton(ending.text.partition("{}")[0])[1], first + shown)
        )
        adapter_first = len(literal) + shown
        adapter_wild = tuple(range(adapter_first, adapter_first + adapter.count("#")))
        rest = (adapter.replace("#", "{}"), adapter_wild)
        if self.architecture is None:
            if name and (component or not _reserved(name)):
                module = name.replace("#", "{}") + ending.tail
                wild = tuple(range(first, first + shown))
                yield _Recipe(
                    tuple(literal),
                    module,
                    wild,
                    *rest,
                    component,
                    "diffusers",
                    ending.role,
                    ending.foreign,
                    bool(component),
                )
            return
        for entry in self._entries(name + tail, component):
            if any(
                want not in ("{}", have)
                for want, have in zip(entry.digits[shown:], tail_numbers, strict=True)
            ):
                continue
            fixed = [
                (first + at, digit)
                for at, digit in enumerate(entry.digits[:shown])
                if digit != "{}"
            ]
            wild = tuple(
                first + at for at, digit in enumerate(entry.digits[:shown]) if digit == "{}"
            )
            module = entry.row.names(entry.namespace)[entry.member]
            yield _Recipe(
                (*literal, *fixed),
                module,
                wild,
                *rest,
                entry.component,
                entry.namespace,
                ending.role,
                ending.foreign,
                bool(component),
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
        prefixes = self._write_prefixes.get(component)
        if prefixes is None:
            prefixes = (f"{component}{self.format.separator}",)
        return f"{prefixes[0]}{module.replace('.', self.format.separator)}{ending.text.format(adapter)}"


def read_key(recipes: tuple[_Recipe, ...], digits: tuple[str, ...]) -> Reading | None:
    """What the first recipe that fits a key's numbers makes of them."""
    for recipe in recipes:
        if recipe.fits(digits):
            return recipe.read(digits)
    return None


@cache
def spelling(format_name: str, architecture_name: str | None) -> Spelling:
    """The spelling of two names in the registries."""
    architecture = ARCHITECTURES[architecture_name] if architecture_name else None
    return Spelling(FORMATS[format_name], architecture)


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
