"""What a format is made of. What cannot be said here does not belong to a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from lora_convert.formats._tuners import TUNERS, tuner_of

if TYPE_CHECKING:
    from lora_convert.adapter import Delta, Namespace, Scale

Role: TypeAlias = str


class Ending(NamedTuple):
    """How a key ends: the tensor's role, and the part of the module's name that the ending swallowed.

    A text with ``{}`` holds an adapter's name there.
    """

    role: Role
    text: str
    tail: str = ""
    """Appended to what stands before `text` to give the module."""
    foreign: str = ""
    """The algorithm, where it is one known by name only."""
    written: bool = True
    """Whether the format's own readers understand it; else it is only read here."""


class Variation(NamedTuple):
    """What a format does differently for some architectures."""

    architectures: tuple[str, ...]
    prefixes: Mapping[str, tuple[str, ...]]
    namespace: Namespace | None = None


class Format(NamedTuple):
    """A spelling of adapters. The first of several spellings is the one written; all are read."""

    name: str
    title: str
    separator: Literal[".", "_", ":"]
    """Between the words of a module's name; ``:`` where modules are numbered instead of named."""
    namespace: Namespace
    """The names that are written; all namespaces are read."""
    prefixes: Mapping[str, tuple[str, ...]]
    """By component: what stands before the module."""
    endings: tuple[Ending, ...]
    scale_in: Literal["tensor", "header", "config", "factors"]
    """Where the scale is written: beside each module, in the file's metadata, in a document, nowhere but in
    the factors."""
    file_name: Callable[[str], str]
    """The output's usual name, from the stem of the source's."""
    bare: bool = False
    """Whether names without a component's prefix are read."""
    shared_prefixes: tuple[str, ...] = ()
    """Prefixes that may stand before any component's modules."""
    parts: bool = False
    """Whether each component of several has a subfolder of its own."""
    folder: bool = False
    """Whether the output is a folder rather than a file."""
    written: bool = True
    """Whether it is written; some are only read."""
    weights: str = ""
    """Name of the weights file where the output is a folder."""
    document: str = ""
    """Name of the document that is written beside the weights."""
    wrapped: bool = False
    """Whether a whole wrapped model, frozen weights included, may be in the file."""
    magnitude: Literal["vector", "column"] = "vector"
    """DoRA magnitudes: (O) and (1, O, 1, 1), as PEFT has them, or (O, 1) and (O, 1, 1, 1)."""
    lone_endings: tuple[Ending, ...] = ()
    """Written instead in a text encoder none of whose attention is adapted."""
    unread: Mapping[str, tuple[str, ...]] = {}
    """By architecture: components that the format's own reader never loads."""
    advice: Mapping[str, str] = {}
    """By component: what whoever loads the output needs to be told."""
    variations: tuple[Variation, ...] = ()
    metadata: Callable[[MetadataOf], Mapping[str, str]] | None = None
    """The format's own file metadata."""
    own_metadata: tuple[str, ...] = ()
    """Beginnings of the names of metadata that speak of the format's own keys, and do not travel."""
    architecture_of: Callable[[Mapping[str, str]], str] | None = None
    """What a file's metadata say its architecture is; empty where they do not."""

    def prefixes_for(self, architecture: str | None) -> Mapping[str, tuple[str, ...]]:
        """Prefixes by component, with the variations for an architecture applied."""
        merged = dict(self.prefixes)
        for variation in self.variations:
            if architecture in variation.architectures:
                merged.update(variation.prefixes)
        return merged

    def openings(self) -> frozenset[str]:
        """All that may stand before a module, whatever the architecture."""
        tables = (self.prefixes, *(variation.prefixes for variation in self.variations))
        named = (prefixes for table in tables for prefixes in table.values())
        bare = ("",) if self.bare else ()
        return frozenset(
            prefix for prefixes in (*named, self.shared_prefixes, bare) for prefix in prefixes
        )

    def namespace_for(self, architecture: str | None) -> Namespace:
        """The names written for an architecture."""
        for variation in self.variations:
            if architecture in variation.architectures and variation.namespace:
                return variation.namespace
        return self.namespace

    def reads(self, role: Role) -> bool:
        """Whether the format has a spelling for a role that is read here."""
        return any(ending.role == role and not ending.foreign for ending in self.endings)

    def writes(self, role: Role) -> bool:
        """Whether the format has a spelling for a role."""
        return self.ending(role) is not None

    def ending(self, role: Role, module: str = "") -> Ending | None:
        """The ending that is written for a role, of `module` if given; None where there is none."""
        return next(
            (
                ending
                for ending in self.endings
                if ending.role == role
                and ending.written
                and not ending.foreign
                and (module.endswith(ending.tail) if module else not ending.tail)
            ),
            None,
        )

    def names(self, component: str, architecture: str | None) -> bool:
        """Whether the format has names for a component."""
        return component in self.prefixes_for(architecture)

    def holds(self, algorithm: str, role: str, module: str = "") -> bool:
        """Whether a module of an algorithm may have a role: a configuration can forbid what names allow.

        Without a module: whether any may.
        """
        found = tuner_of(algorithm) if self.scale_in != "tensor" else None
        beside = ("bias", "magnitude", "mid", "diff_b")
        if found and role in beside and algorithm not in TUNERS["LORA"].algorithms:
            return False
        return self.ending(role, module) is not None


class MetadataOf(NamedTuple):
    """What a format's metadata may depend on."""

    architecture: str | None
    deltas: tuple[Delta, ...]
    alphas: tuple[float, ...]
    """Alpha of each delta at its own rank."""
    ranks: tuple[int, ...]
    carried: Mapping[str, str]


class ScaleEntry(NamedTuple):
    """A module's name, rank, scale and shapes, for a configuration."""

    module: str
    rank: int
    scale: Scale
    shapes: Mapping[str, tuple[int, ...]] = {}
    """Of its tensors, by role."""
    settings: Mapping[str, float] = {}
