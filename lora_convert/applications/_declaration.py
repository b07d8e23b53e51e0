"""What an application is made of: what it reads, what it then gets wrong, and what is best written for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from lora_convert.errors import NotExpressibleError

if TYPE_CHECKING:
    from lora_convert.adapter import Scale, ScaleSource

Effect: TypeAlias = Literal["refuses", "hides", "drops", "misreads"]
"""The whole file fails; it is not listed for its base; tensors are left out; they act otherwise."""


class Module(NamedTuple):
    """What a file holds for one module, in what spelling."""

    component: str
    name: str
    namespaces: frozenset[str]
    """Who calls it so: one or several of ``diffusers``, ``native``, ``original``, ``model``."""
    algorithm: str
    roles: frozenset[str]
    scale: Scale
    scale_source: ScaleSource
    by_column: bool
    """Whether a DoRA magnitude runs over input columns."""
    settings: Mapping[str, float] = {}
    """Numbers of its algorithm: OFT's constraint, say."""
    key: str = ""
    """The name of its first tensor in the file."""


class File(NamedTuple):
    """What a file is, as far as an application looks at it."""

    format: str
    architecture: str | None
    metadata: Mapping[str, str]
    modules: tuple[Module, ...]


class Reads(NamedTuple):
    """A spelling that an application reads."""

    format: str
    architectures: tuple[str, ...] = ()
    """All, where none is named."""
    namespaces: tuple[str, ...] = ()
    components: tuple[str, ...] = ()

    def accepts(self, module: Module, file: File) -> bool:
        """Whether a module of a file is read so."""
        return (
            file.format == self.format
            and (not self.architectures or file.architecture in self.architectures)
            and (not self.namespaces or not module.namespaces.isdisjoint(self.namespaces))
            and (not self.components or module.component in self.components)
        )


class Gap(NamedTuple):
    """Something of what it reads that an application gets wrong."""

    effect: Effect
    what: str
    source: str
    """Where the fact is from: file and version of the application."""
    concerns: Callable[[Module, File], bool]


class Application(NamedTuple):
    """A program that loads adapters."""

    name: str
    title: str
    source: str
    """What its table was made from: files and version."""
    writes: Mapping[str, str]
    """By architecture: the format to write for it; under an empty name for all others."""
    reads: tuple[Reads, ...]
    gaps: tuple[Gap, ...] = ()
    folds: tuple[str, ...] = ()
    """Formats of which it does not look for the scale: it must be multiplied into the tensors."""

    def knows(self, architecture: str | None) -> bool:
        """Whether it loads adapters of an architecture at all."""
        return bool(self.writes.get(architecture or "") or self.writes.get(""))

    @property
    def usual_format(self) -> str:
        """The format that it is given for most architectures."""
        return self.writes.get("") or next(iter(self.writes.values()))

    def format_for(self, architecture: str | None) -> str:
        """The format to write for it; NotExpressibleError where it has no such model."""
        found = self.writes.get(architecture or "") or self.writes.get("")
        if found is None:
            raise NotExpressibleError(
                f"{self.title} loads no adapters of {architecture or 'an unknown architecture'}",
                why=f"it is known to load those of {', '.join(self.writes)}",
                hint="--to FORMAT writes a format all the same",
            )
        return found

    def reads_module(self, module: Module, file: File) -> bool:
        """Whether it finds a module of a file at all."""
        return any(reads.accepts(module, file) for reads in self.reads)

    def formats_read(self, architectures: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """By format: those of these architectures whose files it reads, in some of their names."""
        models = tuple(name for name in architectures if self.knows(name))
        found: dict[str, set[str]] = {}
        for reads in self.reads:
            found.setdefault(reads.format, set()).update(reads.architectures or models)
        return {
            format_: tuple(name for name in models if name in names)
            for format_, names in found.items()
        }
