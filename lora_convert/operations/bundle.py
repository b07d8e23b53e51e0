"""A folder to upload or to hand on: an adapter's files, previews, words, hashes and how to use them."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lora_convert.errors import DestinationExistsError, NotExpressibleError, OptionError
from lora_convert.formats import written
from lora_convert.operations.bundle_texts import (
    Picture,
    civitai_info,
    manager_metadata,
    picture,
    readme,
    sums,
)
from lora_convert.operations.convert import plan_convert
from lora_convert.operations.known_models import civitai_name
from lora_convert.operations.publishing import (
    PublishedFile,
    PublishedFormat,
    converted,
    published_file,
    usual_format,
)
from lora_convert.storage.atomic import check_space, settle, staged_file, staged_folder, sync
from lora_convert.storage.parents import made_folder
from lora_convert.storage.positions import write_at

if TYPE_CHECKING:
    from lora_convert.operations.publication import Publication

_README = "README.md"
_SUMS = "SHA256SUMS"


class Bundled(NamedTuple):
    """What came of a bundle."""

    status: Literal["written", "unchanged"]
    formats: tuple[PublishedFormat, ...]
    files: tuple[PublishedFile, ...]
    """All of them, the weights first."""


class BundlePlan(NamedTuple):
    """A bundle worked out: what will be in it."""

    found: Publication
    output: str
    names: Mapping[str, str]
    """By format: the file, or the folder, that holds the weights."""
    sizes: Mapping[str, int]
    """By format: bytes."""
    civitai: str
    """Civitai's name for the base."""

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the files beside the weights."""
        stem = self.found.name
        words = (f"{stem}.txt",) if self.found.triggers else ()
        documents = (_README, f"{stem}.civitai.info", f"{stem}.metadata.json", _SUMS)
        return (*self.pictures, *words, *documents)

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of the previews."""
        endings = (os.path.splitext(one.path)[1].lower() for one in self.found.previews)
        stem = f"{self.found.name}.preview"
        return tuple(
            f"{stem}{'' if number == 1 else f'.{number}'}{end}"
            for number, end in enumerate(endings, 1)
        )

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        found = self.found
        return {
            "source": found.source.path,
            "output": self.output,
            "name": found.name,
            "title": found.title,
            "architecture": found.architecture,
            "base_models": [one.repository for one in found.bases],
            "base_model_inferred": any(one.inferred for one in found.bases),
            "civitai_base_model": self.civitai,
            "license": found.licence.name or found.licence.id,
            "trigger_words": list(found.triggers),
            "training": dict(found.training),
            "bytes": sum(self.sizes.values()),
            "warnings": [*found.objections, *found.warnings],
        }

    def apply(self, *, force: bool = False) -> Bundled:
        """Write the folder, whole or not at all; one that is the same already is left alone."""
        whole = os.path.abspath(self.output)
        there = os.path.lexists(whole)
        if there and not os.path.isdir(whole):
            raise DestinationExistsError(whole, why="it is a file", hint="choose another with -o")
        with made_folder(os.path.dirname(whole)):
            check_space(os.path.dirname(whole), sum(self.sizes.values()))
            with staged_folder(whole) as staged:
                formats, files = self._filled(staged.path)
                if there and _same(staged.path, whole, [*(one.name for one in files), _SUMS]):
                    for one in files:
                        settle(os.path.join(whole, one.name))
                    return Bundled("unchanged", formats, files)
                if there and not force:
                    raise DestinationExistsError(whole)
                staged.publish(replace=force)
        return Bundled("written", formats, files)

    def _filled(self, folder: str) -> tuple[tuple[PublishedFormat, ...], tuple[PublishedFile, ...]]:
        found, stem = self.found, self.found.name
        formats = converted(found, [*self.names], folder, self.names)
        first = formats[0].files[0]
        pictures = tuple(
            picture(found, one, name, first)
            for one, name in zip(found.previews, self.pictures, strict=True)
        )
        texts = {
            **({f"{stem}.txt": ", ".join(found.triggers) + "\n"} if found.triggers else {}),
            _README: readme(found, formats, pictures),
            f"{stem}.civitai.info": civitai_info(found, formats, pictures, self.civitai),
            f"{stem}.metadata.json": manager_metadata(found, first, pictures, self.civitai),
        }
        for name, data in (*_data(pictures), *((name, t.encode()) for name, t in texts.items())):
            _write(os.path.join(folder, name), data)
        beside = (published_file(os.path.join(folder, name), folder) for name in self.others[:-1])
        files = (*(file for one in formats for file in one.files), *beside)
        _write(os.path.join(folder, _SUMS), sums(files).encode())
        return formats, files


def plan_bundle(
    found: Publication,
    output: str,
    *,
    formats: Sequence[str] = (),
    civitai: str | None = None,
) -> BundlePlan:
    """Work out the folder for a publication; by default in the format that most of its applications read.

    OptionError for a format that is none, NotExpressibleError where what would be given is broken.
    """
    wanted = [*dict.fromkeys(formats or [usual_format(found.architecture)])]
    for name in wanted:
        if name not in written():
            raise OptionError("formats", name, choices=tuple(written()))
    if found.broken:
        raise NotExpressibleError(
            f"{found.source.path}: is not bundled: {'; '.join(found.broken)}",
            why="whoever loads it gets black images or an error",
            hint=f"lora-convert inspect --health {found.source.path}",
        )
    names = {
        name: _name(found.name, name, first=name == wanted[0], folder=written()[name].folder)
        for name in wanted
    }
    base = found.bases[0].repository if found.bases else ""
    label = civitai or civitai_name(found.architecture, base)
    return BundlePlan(found, output, names, _sizes(found, names), label)


def _name(stem: str, format_: str, *, first: bool, folder: bool) -> str:
    if folder:
        return f"{stem}_{format_}"
    return f"{stem}.safetensors" if first else f"{stem}_{format_}.safetensors"


def _sizes(found: Publication, names: Mapping[str, str]) -> dict[str, int]:
    sizes = {}
    for name, place in names.items():
        with plan_convert(
            found.source.path, name, output=place, architecture=found.architecture
        ) as plan:
            sizes[name] = plan.plan.size
    return sizes


def _data(pictures: Sequence[Picture]) -> list[tuple[str, bytes]]:
    return [(one.name, one.data) for one in pictures]


def _write(path: str, data: bytes) -> None:
    with staged_file(path, len(data)) as (descriptor, staged):
        write_at(descriptor, data, 0)
        sync(descriptor)
        staged.publish(replace=False)


def _same(folder: str, other: str, names: Sequence[str]) -> bool:
    """Whether all these files are the same in two folders."""
    _, different, missing = filecmp.cmpfiles(folder, other, names, shallow=False)
    return not (different or missing)
