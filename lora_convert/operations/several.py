"""Several sources: which paths are one each, which folder is many, and where each one's output goes."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import (
    CheckpointNotFoundError,
    DestinationExistsError,
    LoraConvertError,
    UnknownFormatError,
)
from lora_convert.formats import COMPONENTS, written
from lora_convert.operations.destination import (
    check_apart,
    is_named_after,
    places_of,
    stem_of,
)
from lora_convert.operations.opening import open_adapter
from lora_convert.storage.compacted import exists
from lora_convert.storage.distributed import check_not_distributed
from lora_convert.storage.folders import parts_of, ranked_weights, subfolders_with_weights
from lora_convert.storage.places import is_folder, is_hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lora_convert.formats import Format


def sources_of(
    paths: Iterable[str],
    *,
    architecture: str | None = None,
    component: str | None = None,
    own_name: Callable[[str], str] | None = None,
) -> list[str]:
    """Paths of one checkpoint each: in place of a folder of several, its weight files by name.

    In place of a run's address is the path that it names: outputs are called after that; addresses on
    the Hub stay. A folder is one checkpoint where `open_adapter` finds one in it. Files are opened one
    after another, and only until that is known. What cannot be read stays: opening it says why.
    """
    found: list[str] = []
    for path in map(_without_address, paths):
        look = _Look(path, architecture, component)
        found += (is_folder(path) and look.files(own_name)) or [path]
    return found


def _without_address(path: str) -> str:
    if "@" not in path or is_hub(path) or exists(path):
        return path
    from lora_convert.operations.addresses import resolved

    try:
        return resolved(path)
    except LoraConvertError:
        return path


class _Look(NamedTuple):
    """A look into a folder, with the options that decide what an adapter is."""

    folder: str
    architecture: str | None
    component: str | None

    def files(self, own_name: Callable[[str], str] | None) -> list[str]:
        """The weight files, where they are several checkpoints or none is one; else nothing."""
        try:
            return self._files(own_name)
        except (CheckpointNotFoundError, UnknownFormatError):  # of the folder as a whole
            return []

    def _files(self, own_name: Callable[[str], str] | None) -> list[str]:
        ranked = ranked_weights(self.folder, own_name=own_name)
        files = sorted(weights.path for rank in ranked for weights in rank)
        if len(files) < 2:
            return []
        for rank in ranked:
            adapters = (weights for weights in rank if self._is_adapter(weights.path))
            count = len([*islice(adapters, 2)])
            if count:
                return files if count > 1 else []
        check_not_distributed(self.folder)
        inner = parts_of(self.folder, COMPONENTS) or subfolders_with_weights(self.folder)
        return [] if inner else files

    def _is_adapter(self, path: str) -> bool:
        try:
            opened = open_adapter(
                path, architecture=self.architecture, component=self.component, from_afar=True
            )
        except LoraConvertError:
            return False
        with opened.checkpoint:
            return opened.detection.format is not None


class Conversions(NamedTuple):
    """What a command converts, and where to."""

    places: dict[str, str | None]
    """Source to the `output` of its conversion."""
    passed_over: tuple[str, ...] = ()
    """Outputs of the others among the paths."""
    real: frozenset[str] = frozenset()
    """The sources again, without links."""

    def check_outputs(self, outputs: Iterable[str]) -> None:
        """Raise DestinationExistsError where one source's output is another source."""
        for path in outputs:
            if os.path.realpath(path) in self.real:
                why = "it is another of the sources, which are never touched"
                raise DestinationExistsError(path, why=why, hint="choose another with -o")


def conversions_of(
    paths: Iterable[str],
    format_: Format,
    output: str | None,
    *,
    architecture: str | None = None,
    component: str | None = None,
) -> Conversions:
    """What to convert, and where to, so that no two outputs meet and none is converted again.

    One source goes where `output` says; each of several has a place of its own in that folder.
    """
    listed = sources_of(
        paths,
        architecture=architecture,
        component=component,
        own_name=None if format_.folder else format_.file_name,
    )
    by_path: dict[str, str] = {}
    for source in listed:
        by_path.setdefault(os.path.abspath(source), source)
    sources = [*by_path.values()]
    if len(sources) == 1:
        return Conversions({sources[0]: output})
    places = places_of(sources, format_, output)
    outputs = {path for source in sources for path in _outputs(source, places[source], format_)}
    kept = [source for source in sources if outputs.isdisjoint(_with_parents(source))]
    passed_over = tuple(sorted({*sources} - {*kept}))
    if len(kept) == 1:
        return Conversions({kept[0]: output}, passed_over)
    places = {source: places[source] for source in kept}
    check_apart(places)
    return Conversions(places, passed_over, frozenset(map(os.path.realpath, kept)))


def _outputs(source: str, place: str | None, format_: Format) -> Iterator[str]:
    """Where a source's output goes, and where others of its outputs lie beside it."""
    if place is not None:
        yield os.path.abspath(place)
    whole = os.path.abspath(source)
    if not os.path.isdir(whole):
        parent, name = os.path.split(whole)
        for other in written().values():
            beside = os.path.join(parent, other.file_name(stem_of(name)))
            if beside != whole and (other is format_ or is_named_after(other)):
                yield beside


def _with_parents(source: str) -> Iterator[str]:
    path = os.path.abspath(source)
    while path != os.path.dirname(path):
        yield path
        path = os.path.dirname(path)
