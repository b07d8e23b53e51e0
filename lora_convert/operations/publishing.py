"""A publication's files, in the formats that are wanted: converted, proved, hashed, and who can use them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.applications import APPLICATIONS
from lora_convert.errors import NotExpressibleError
from lora_convert.formats import written
from lora_convert.operations.convert import plan_convert
from lora_convert.operations.destination import place_of
from lora_convert.operations.loading import check
from lora_convert.storage.files import SourceFile
from lora_convert.storage.hashes import hash_of

if TYPE_CHECKING:
    from lora_convert.operations.publication import Publication

_AUTO_V2 = 10


class PublishedFile(NamedTuple):
    """A file that was written."""

    name: str
    """Relative to the folder of the publication, with slashes."""
    bytes: int
    sha256: str

    @property
    def auto_v2(self) -> str:
        """Civitai's short hash: what AUTOMATIC1111's web UI shows (modules/hashes.py, sha256 cut at ten)."""
        return self.sha256[:_AUTO_V2].upper()

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {**self._asdict(), "auto_v2": self.auto_v2}


class PublishedFormat(NamedTuple):
    """An adapter in one format."""

    format: str
    files: tuple[PublishedFile, ...]
    """Its weights first."""
    works_in: tuple[str, ...]
    """Names of the applications that load it right, by their tables."""
    losses: tuple[str, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """The same for people."""
        return tuple(APPLICATIONS[name].title for name in self.works_in)


def usual_format(architecture: str | None) -> str:
    """The format that most applications which know an architecture read best."""
    knowing = [one for one in APPLICATIONS.values() if one.knows(architecture)]
    votes = [one.format_for(architecture) for one in knowing]
    singles = [name for name in ("kohya", "comfyui", "diffusers") if name in votes]
    return max(singles, key=votes.count, default="comfyui" if architecture else "diffusers")


def converted(
    found: Publication,
    formats: Sequence[str],
    folder: str,
    names: Mapping[str, str] | None = None,
) -> tuple[PublishedFormat, ...]:
    """Write a publication in formats into a folder, each proved, hashed and checked against applications.

    `names` are paths in the folder by format; by default they are the formats' usual ones.
    NotExpressibleError where it is broken: what is not finite or not whole is given to nobody.
    """
    if found.broken:
        raise NotExpressibleError(
            f"{found.source.path}: is not published: {'; '.join(found.broken)}",
            why="whoever loads it gets black images or an error",
            hint=f"lora-convert inspect --health {found.source.path}",
        )
    return tuple(
        _one(found, name, folder, (names or {}).get(name) or _usual(found, name))
        for name in dict.fromkeys(formats)
    )


def _usual(found: Publication, name: str) -> str:
    known = written().get(name)
    return place_of(found.name, known, "") if known else name  # which plan_convert says is none


def _one(found: Publication, name: str, folder: str, place: str) -> PublishedFormat:
    output = os.path.join(folder, *place.split("/"))
    with plan_convert(
        found.source.path, name, output=output, architecture=found.architecture
    ) as plan:
        result = plan.apply()
    weights_first = sorted(result.outputs, key=lambda path: not path.endswith(".safetensors"))
    right = tuple(one.application for one in check(result.output).loadings if one.right)
    losses = tuple(str(loss) for loss in plan.losses)
    files = tuple(published_file(path, folder) for path in weights_first)
    return PublishedFormat(name, files, right, losses)


def published_file(path: str, folder: str) -> PublishedFile:
    """A file of a publication's folder, hashed."""
    file = SourceFile(path)
    try:
        name = os.path.relpath(path, folder).replace(os.sep, "/")
        return PublishedFile(name, file.size, hash_of(file))
    finally:
        file.close()
